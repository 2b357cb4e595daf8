"""What every test starts from: one thread a worker, the same seeds, no display, no network."""

from __future__ import annotations

import os
import random

# Set before torch or a child process counts the cores: two workers with two threads each are slower than with one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy
import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)

# The same examples in every run: a failure seen once is seen again, and a slow machine is no failure.
settings.register_profile("archgrad", derandomize=True, deadline=None, database=None, max_examples=50)
settings.load_profile("archgrad")


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Seed every global generator, so that no test depends on which ones ran before it."""
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)
