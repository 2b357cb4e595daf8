"""Where a run goes that was not told where: a new directory under runs/."""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path

from archgrad.errors import InputError

__all__ = ["free_directory"]


def free_directory(what: str, data: str, seed: int) -> Path:
    """Return the first of runs/WHAT-DATA-sSEED, the same with -2, -3, ... that does not exist.

    Args:
        what: the recipe, or what is trained.
        data: the SPEC, of which the part before the colon is taken.
        seed: of the run.

    Raises:
        InputError: there are several processes, which could each find another one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("Several processes must agree on one run directory: name it with --run DIR.")
    name = re.sub(r"[^\w.-]+", "-", f"{what}-{data.partition(':')[0]}-s{seed}")
    paths = (Path("runs", name if number == 1 else f"{name}-{number}") for number in count(1))
    return next(path for path in paths if not path.exists())
