"""Stands in for the process of a run, without torch: does what the words after the last dash of the arm say."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from filelock import FileLock, Timeout


def main() -> None:
    job = json.loads(sys.stdin.readline())
    folder = Path(job["folder"])
    deed = folder.name.rpartition("-s")[0].rpartition("-")[2]
    notes = folder.parent / "notes"
    try:
        with FileLock(folder.parent / "workers" / f"{folder.name}.lock", timeout=0):
            with notes.open("a") as file:
                file.write(f"begin {folder.name} {time.monotonic()} {os.environ['OMP_NUM_THREADS']}\n")
            if deed == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if deed == "broken":
                sys.exit("no verdict")
            if deed == "wrong":
                print(json.dumps({"error": "It was wrong.", "exit_code": 1}))
                return
            if deed == "endless":
                threading.Thread(target=stopped, args=(notes, folder), daemon=True).start()
                time.sleep(60)
            time.sleep(0.3)
            folder.mkdir()
            for name in ("architecture.json", "costs.json"):
                (folder / name).write_text("{}")
            with notes.open("a") as file:
                file.write(f"end {folder.name} {time.monotonic()}\n")
            print(json.dumps({"error": None}))
    except Timeout:
        print(json.dumps({"error": None, "busy": True}))


def stopped(notes: Path, folder: Path) -> None:
    """Wait until the parent closes the pipe or writes to it, note it and end."""
    os.read(0, 1)
    with notes.open("a") as file:
        file.write(f"stopped {folder.name}\n")
    os._exit(0)


main()
