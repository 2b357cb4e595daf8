"""A process that does one run of a comparison: ``python -m archgrad.api.compare_worker``, the job as JSON on its stdin.

In its own process the memory of a run is measured alone, and a crash is its own. It says how the run ended in one line
of JSON on stdout; whatever else is printed goes to stderr. When its stdin ends, because whoever started it was stopped
or died, it writes a checkpoint and stops.
"""

from __future__ import annotations

import _thread
import json
import os
import sys
import threading
import traceback
from contextlib import closing
from pathlib import Path
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Do the run that stdin describes.

    The job has ``folder``, ``config`` (as YAML), ``wanted`` and ``plugin``; the line on stdout has ``error`` (None, or
    what went wrong), ``exit_code``, and ``busy`` where another process does this run.
    """
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a plugin or a library prints is no answer
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_with_stdin, daemon=True).start()
    with closing(answer):
        verdict = _verdict(job)
        print(json.dumps(verdict), file=answer)


def _stop_with_stdin() -> None:
    """Interrupt the run as Ctrl-C does once nobody holds the other end of stdin any more."""
    os.read(0, 1)
    _thread.interrupt_main()


def _verdict(job: dict[str, Any]) -> dict[str, Any]:
    """Do the run and return how it ended."""
    from archgrad.errors import ArchgradError

    try:
        from filelock import Timeout

        from archgrad.api.compare_figures import Wanted
        from archgrad.api.compare_run import Doing, lock_of
        from archgrad.api.settings import load_plugin
        from archgrad.runs.config import from_yaml

        load_plugin(job["plugin"])
        folder = Path(job["folder"])
        try:
            with lock_of(folder):
                Doing(folder, from_yaml(job["config"]), Wanted(**job["wanted"]))()
        except Timeout:
            return {"error": None, "busy": True}
    except ArchgradError as error:
        return {"error": str(error), "exit_code": error.exit_code}
    except KeyboardInterrupt:
        return {"error": "It was interrupted.", "exit_code": 130}
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines() or ["no message"]
        return {"error": f"{type(error).__name__}: {lines[0]}", "exit_code": 1}
    return {"error": None}


if __name__ == "__main__":
    main()
