"""Two processes train one network: equal weights on both, one run directory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from archgrad.network.saved import load_network
from archgrad.runs.log import read

CODE = """
import json, sys
import archgrad, torch
torch.set_num_threads(1)
settings = {"data.limit": 96, "data.limit_test": 40, "train.batch": 24, "train.drop_path": 0.3}
words = dict(data="digits", epochs=2, cells=1, channels=4, device="cpu", settings=settings)
result = archgrad.train("DARTS_V2", run=sys.argv[1], **words)
weights = {name: value.double().sum().item() for name, value in result.network.state_dict().items()}
print(json.dumps({"metrics": result.metrics, "weights": weights}))
"""


@pytest.mark.slow
def test_both_end_with_the_same_network(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(tmp_path / "run")],
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        first, second = (json.loads(child.communicate(timeout=180)[0]) for child in children)
    finally:
        for child in children:
            child.kill()
    assert first == second
    network, _ = load_network(tmp_path / "run" / "model.safetensors")
    for name, value in network.state_dict().items():
        assert float(value.double().sum()) == pytest.approx(first["weights"][name], rel=1e-12), name
        assert torch.isfinite(value).all()
    ends = [event for event in read(tmp_path / "run" / "log.jsonl") if event["event"] == "end"]
    assert len(ends) == 1 and ends[0]["test"] == first["metrics"]
