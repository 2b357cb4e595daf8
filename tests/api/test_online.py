"""A search on a stream tests before it learns, grows, keeps what it needs alone, and goes on with appended rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import archgrad
from archgrad.engine.growing.online import Watch
from archgrad.runs.log import read

SETTINGS: dict[str, Any] = {
    "supernet.hidden": 3,
    "data.window": 4,
    "data.horizon": 2,
    "data.batch": 8,
    "growth.limit": 3,
    "growth.patience": 1,
    "growth.improvement": 0.5,
}


def written(path: Path, rows: int) -> Path:
    t = np.arange(rows)
    values = np.stack([np.sin(t / 3), np.cos(t / 5)], axis=1) + 0.05 * np.random.default_rng(0).normal(size=(rows, 2))
    lines = [f"2020-01-{1 + k // 24:02d} {k % 24:02d}:00:00,{a},{b}" for k, (a, b) in enumerate(values)]
    path.write_text("\n".join(["date,a,b", *lines]) + "\n")
    return path


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in read(run / "log.jsonl") if event["event"] == kind]


def test_a_stream_that_is_resumed_with_more_rows_ends_as_the_whole(tmp_path: Path) -> None:
    path, words = tmp_path / "series.csv", {"settings": SETTINGS, "seed": 1}
    written(path, 260)
    whole = archgrad.online(data=f"csv:{path}", run=tmp_path / "whole", block=3, **words)  # type: ignore[arg-type]
    written(path, 150)
    archgrad.online(data=f"csv:{path}", run=tmp_path / "run", block=3, **words)  # type: ignore[arg-type]
    written(path, 260)
    result = archgrad.online(data=f"csv:{path}", run=tmp_path / "run", resume=True)
    assert result.position == whole.position == 8 * ((260 - 4 - 2 * 2 + 2) // 8)
    assert result.prequential == whole.prequential
    assert result.tested == whole.tested < whole.position
    assert result.growths == whole.growths
    assert [event["what"] for event in whole.growths] == ["grown"]
    assert whole.architecture.cells["recurrent"].nodes == 3
    assert result.architecture == whole.architecture
    assert len(events(tmp_path / "run", "block")) == len(events(tmp_path / "whole", "block"))
    assert (tmp_path / "run" / "architecture.json").exists()
    changed = path.read_text().replace("2020-01-01 05:00:00,", "2020-01-01 05:00:00,7")
    path.write_text(changed)
    with pytest.raises(archgrad.InputError, match="not those that were read before"):
        archgrad.online(data=f"csv:{path}", run=tmp_path / "run", resume=True)


def test_batches_from_python_grow_on_a_drift_and_memory_stays(tmp_path: Path) -> None:
    def stream() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        generator = torch.Generator().manual_seed(0)
        for index in range(36):
            scale = 1.0 if index < 18 else 20.0
            x = scale * torch.randn(4, 5, 2, generator=generator)
            yield x, scale * torch.randn(4, 2, 2, generator=generator)

    settings = {"supernet.hidden": 3, "growth.limit": 3, "growth.patience": 1000}
    result = archgrad.online(
        data=stream(), settings=settings, run=tmp_path / "run", block=3, watch=Watch(threshold=10.0)
    )
    assert result.tested == 36 * 4 - 4
    (drift, *_), (growth, *_) = events(tmp_path / "run", "drift"), events(tmp_path / "run", "grown")
    assert drift["position"] >= 19 * 4
    assert growth["position"] >= drift["position"]
    assert result.architecture.cells["recurrent"].nodes == 3
    assert len(result.state.parts.data.recent) <= 8  # type: ignore[attr-defined]


def test_what_is_no_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(archgrad.InputError, match="read from csv:PATH"):
        archgrad.online(data="digits")
    with pytest.raises(archgrad.InputError, match="too few"):
        archgrad.online(data=f"csv:{written(tmp_path / 'short.csv', 12)}", settings=SETTINGS)
    with pytest.raises(archgrad.InputError, match="empty"):
        archgrad.online(data=iter([]))
