"""``python -m benchmarks memory``: what a step of the image supernet keeps.

Two figures a variant: the bytes that the forward saves for its backward (every storage once, counted by hooks, without
weights and batch), and the peak of the resident memory above that before the step, in a fresh process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from archgrad.supernet.memory import saved_bytes
from benchmarks.variants import Step, circumstances, options

__all__ = ["main"]

MEGA = 1e6


def resident() -> float:
    """Return the largest resident memory so far, in MB; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGA


def child(name: str, words: Sequence[str]) -> dict[str, float]:
    """Run one variant in a process of its own."""
    command = [sys.executable, "-m", "benchmarks", "memory", *words, "--child", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(words: Sequence[str]) -> None:
    """Print a table, and JSON where asked."""
    given = options(words, __doc__)
    if given.child:
        step, before = Step(given.child, given), resident()
        step(choices=False)
        peak = resident() - before
        kept = {
            f"saved_{kind}": saved_bytes(lambda choices=choices: step.forward(choices), step.known) / MEGA  # type: ignore[misc]
            for kind, choices in (("weights", False), ("choices", True))
        }
        print(json.dumps({**kept, "peak_weights": peak}))
        return
    sizes = {name: getattr(given, name) for name in ("cells", "channels", "batch", "side")}
    result: dict[str, Any] = {"sizes": sizes, **circumstances(), "variants": {}}
    print(", ".join(f"{name} {value}" for name, value in (sizes | circumstances()).items()) + "\n")
    header = ["variant", "saved, weight step (MB)", "saved, choice step (MB)", "peak, weight step (MB)"]
    print("| " + " | ".join(header) + " |\n|---|---:|---:|---:|")
    passed = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    for name in given.variants:
        found = result["variants"][name] = child(name, passed)
        figures = (found[key] for key in ("saved_weights", "saved_choices", "peak_weights"))
        print("| " + " | ".join([name, *(f"{figure:,.0f}" for figure in figures)]) + " |")
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
