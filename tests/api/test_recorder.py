"""What the recorder measures."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from archgrad.api.recorder import peak_memory_mb


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands a parent's peak down")
def test_the_peak_is_the_processs_own_and_not_what_its_parent_held() -> None:
    held = torch.ones(400 * 2**18)  # 400 MiB
    code = "from archgrad.api.recorder import peak_memory_mb; print(peak_memory_mb())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    child, parent = float(done.stdout), peak_memory_mb()
    assert held.nbytes / 2**20 == 400.0
    assert 10.0 < child < parent - 200.0
