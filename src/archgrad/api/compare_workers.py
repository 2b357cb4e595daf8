"""Runs of a comparison side by side, each in a process of its own, never one twice; what fails is a verdict.

The processes are started afresh (no fork: a GPU would not survive it), share the cores, take the GPUs in turn, and hold
a lock of the operating system on their run, so that several commands may work on one folder. A lock ends with its
process, however that dies.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from archgrad.api.compare_figures import Run
from archgrad.api.compare_run import Doing, done, lock_of, place_of_work
from archgrad.errors import ArchgradError
from archgrad.runs.config import SearchConfig, to_yaml

__all__ = ["Failure", "Job", "cores", "here", "side_by_side"]

WORKER = [sys.executable, "-m", "archgrad.api.compare_worker"]

PAUSE = 0.1
"""Seconds between two looks at the processes."""

LONG_PAUSE = 1.0
"""Seconds between two looks at a run that another command does."""

PATIENCE = 60.0
"""Seconds that interrupted processes get to write their checkpoints."""


@dataclass(frozen=True)
class Job:
    """A run to do, and its configuration."""

    run: Run
    config: SearchConfig


@dataclass(frozen=True)
class Failure:
    """Why a run is not done.

    Args:
        message: in words.
        exit_code: that the command line has for it.
    """

    message: str
    exit_code: int = 1


Ended = Generator[tuple[Run, Failure | None], None, None]


def here(jobs: Sequence[Job], say: Callable[[str], None]) -> Ended:
    """Do runs one after the other in this process; yield each as it ends.

    Args:
        jobs: in the order in which to do them; one that another process does is waited for.
        say: told what is waited for.
    """
    for job in jobs:
        folder, failure, told = job.run.folder, None, False
        while not done(folder, job.run.wanted):
            try:
                with _held(folder):
                    failure = _tried(Doing(folder, job.config, job.run.wanted))
                break
            except Timeout:
                if not told:
                    say(f"Waiting for another process that does {folder.name}.")
                told = True
                time.sleep(LONG_PAUSE)
        yield job.run, failure


def _held(folder: Path) -> AbstractContextManager[object]:
    """Return the lock on a run; the processes of one torchrun share each run."""
    return nullcontext() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else lock_of(folder)


def _tried(doing: Doing) -> Failure | None:
    try:
        doing()
    except ArchgradError as error:
        return Failure(str(error), error.exit_code)
    return None


def side_by_side(jobs: Sequence[Job], workers: int, plugin: str | None, say: Callable[[str], None]) -> Ended:
    """Do runs in processes of their own, several at a time; yield each as it ends.

    Args:
        jobs: in the order in which to begin them; those that another command does are waited for in the end.
        workers: how many at a time, each with its share of the cores.
        plugin: a module that each imports first.
        say: told what is waited for.

    Raises:
        KeyboardInterrupt: Ctrl-C; the processes have written their checkpoints.
    """
    waiting, running, told = list(jobs), dict[int, tuple[Job, subprocess.Popen[str]]](), False
    try:
        while waiting or running:
            for job in [job for job in waiting if done(job.run.folder, job.run.wanted)]:
                waiting.remove(job)
                yield job.run, None
            for slot in [slot for slot in range(workers) if slot not in running]:
                ready = next((job for job in waiting if _free(job)), None)
                if ready is None:
                    break
                waiting.remove(ready)
                running[slot] = ready, _started(ready, slot, workers, plugin)
            if not (waiting or running):
                break
            if waiting and not running and not told:
                told = True
                say(f"Waiting for another command that does {', '.join(job.run.folder.name for job in waiting)}.")
            time.sleep(PAUSE if running else LONG_PAUSE)
            for slot in [slot for slot, (_, process) in running.items() if process.poll() is not None]:
                job, process = running.pop(slot)
                verdict = _verdict(process, place_of_work(job.run.folder, ".log"))
                if verdict.get("busy"):  # another command was quicker
                    waiting.append(job)
                    continue
                failed = verdict["error"]
                yield job.run, Failure(failed, verdict.get("exit_code", 1)) if failed else None
    finally:
        _stop([process for _, process in running.values()])


def _free(job: Job) -> bool:
    """Say whether no process does this run now, and it is not done."""
    if done(job.run.folder, job.run.wanted):
        return False
    with suppress(Timeout), lock_of(job.run.folder):
        return True
    return False


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _started(job: Job, slot: int, workers: int, plugin: str | None) -> subprocess.Popen[str]:
    """Start the process of a run."""
    given: dict[str, Any] = {"folder": str(job.run.folder), "config": to_yaml(job.config)}
    given |= {"wanted": asdict(job.run.wanted), "plugin": plugin}
    with place_of_work(job.run.folder, ".log").open("w") as log:
        process = subprocess.Popen(
            WORKER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=_environment(slot, workers),
            start_new_session=True,  # Ctrl-C reaches this process, which then stops those that it started
        )
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(given) + "\n")
        process.stdin.flush()
    return process


def _environment(slot: int, workers: int) -> dict[str, str]:
    """Return the environment of a process: its share of the cores, unless the user says how many, and its GPU."""
    import torch

    environment = {"OMP_NUM_THREADS": str(max(1, cores() // workers)), **os.environ}
    gpus = torch.cuda.device_count()
    if gpus > 1 and workers > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
        environment["CUDA_VISIBLE_DEVICES"] = visible[slot % len(visible)]
    return environment


def _verdict(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    """Return how the run of a process that ended went."""
    assert process.stdin is not None and process.stdout is not None
    line = process.stdout.readline()
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.stdout.close()
    if line:
        verdict: dict[str, Any] = json.loads(line)
        return verdict
    code = process.returncode
    if code < 0:
        name = signal.Signals(-code).name
        full = " The memory may be full: fewer --workers take less." if name == "SIGKILL" else ""
        return {"error": f"Its process was ended by {name}.{full} The same command goes on with it."}
    return {"error": f"Its process ended with exit code {code}; {log} tells more."}


def _stop(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Have processes write their checkpoints and end; those that do not in time are killed."""
    for process in processes:
        if process.stdin:
            with suppress(BrokenPipeError):
                process.stdin.close()
    until = time.monotonic() + PATIENCE
    try:
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
    finally:  # also after a second Ctrl-C
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
