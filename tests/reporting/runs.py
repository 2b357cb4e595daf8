"""Run directories as a search leaves them, made from formulas instead of hours of training."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from archgrad.architecture import Architecture, Cell, Edge
from archgrad.published import published
from archgrad.space.darts import DARTS_OPERATIONS

ROWS = [(source, target) for target in range(2, 6) for source in range(target)]


def make_run(
    path: Path,
    *,
    epochs: int = 20,
    planned: int | None = None,
    seed: int = 0,
    train: int = 0,
    architecture: Architecture | None = None,
    warnings: tuple[str, ...] = (),
    **config: Any,
) -> Path:
    """Write a run directory.

    Args:
        path: the directory, made here.
        epochs: epochs that were done.
        planned: epochs that were asked for, if the run ended early.
        seed: shifts the curves.
        train: epochs of training that follow; a model is then saved.
        architecture: what was found.
        warnings: messages in the log.
        config: further settings.
    """
    path.mkdir(parents=True)
    architecture = architecture or published("DARTS_V2")
    settings = {
        "format": 1,
        "command": ["search", "darts", "--data", "digits", "--seed", str(seed)],
        "recipe": "darts",
        "seed": seed,
        "epochs": planned or epochs,
        "data": {"spec": "digits", "batch": 64},
        "space": {"name": "darts"},
        **config,
    }
    # JSON is YAML
    (path / "config.yaml").write_text(json.dumps(settings, indent=1))
    events: list[dict[str, Any]] = [{"event": "start", "phase": "search", "recipe": "darts", "seed": seed}]
    events += [{"event": "warning", "message": message} for message in warnings]
    for epoch in range(1, epochs + 1):
        for k in range(4):
            step = 4 * (epoch - 1) + k
            wiggle = 0.15 * math.sin(3.7 * step + seed)
            loss = 0.25 + 2.1 * math.exp(-step / 18) + wiggle * math.exp(-step / 40)
            events.append(
                {
                    "event": "step",
                    "phase": "search",
                    "step": step,
                    "epoch": epoch,
                    "loss": loss,
                    "choice_loss": loss + 0.1,
                    "rate": 0.025,
                    "schedule": {
                        "gradient_square": 3.0 * math.exp(-step / 30) * (1 + wiggle),
                        "average": 3.0 * math.exp(-step / 30),
                        "threshold": 1.05 ** (step - 11 * (step // 11)),
                        "taken": step // 11,
                        "skipped": step - step // 11,
                    },
                    "penalties": {"admm": {"value": 0.01 * step, "primal_residual": 2.8 - 0.02 * step}},
                }
            )
        events.append(_epoch(epoch, epochs, seed))
    if planned is None:
        end = {
            "event": "end",
            "phase": "search",
            "search_seconds": 93.4,
            "peak_memory_mb": 1234.5,
            "supernet_parameters": 1930618,
            "validation": {"accuracy": 0.971, "loss": 0.11},
            "derived_validation": {"accuracy": 0.943, "loss": 0.21},
        }
        events.append(end)
        architecture.save(path / "architecture.json")
    if train:
        events.append({"event": "start", "phase": "train"})
        for epoch in range(1, train + 1):
            fit = 1 - math.exp(-epoch / 8)
            events.append(
                {
                    "event": "epoch",
                    "phase": "train",
                    "epoch": epoch,
                    "loss": 2.3 * (1 - fit) + 0.05,
                    "train_accuracy": 0.1 + 0.89 * fit,
                    "validation": {"accuracy": 0.1 + 0.86 * fit, "loss": 2.3 * (1 - fit) + 0.2},
                    "seconds": 2.0,
                }
            )
        test = {"accuracy": 0.9861, "loss": 0.05}
        events.append({"event": "end", "phase": "train", "seconds": 61.0, "parameters": 185000, "test": test})
        write_model(path / "model.safetensors", {"stem.weight": [16, 1, 3, 3], "head.weight": [10, 16]})
    (path / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def _epoch(epoch: int, epochs: int, seed: int) -> dict[str, Any]:
    progress = epoch / max(epochs, 8)
    tables = {
        kind: [
            _softmax([3 * progress * math.sin(1.3 * row + 2.1 * k + seed + len(kind)) for k in range(8)])
            for row in range(len(ROWS))
        ]
        for kind in ("normal", "reduce")
    }
    cells = {
        kind: Cell(
            2,
            4,
            tuple(
                Edge(source, target, DARTS_OPERATIONS[1 + max(range(7), key=lambda k, row=row: table[row][k + 1])])  # type: ignore[misc]
                for row, (source, target) in enumerate(ROWS)
                if source < 2
            ),
            (2, 3, 4, 5),
        )
        for kind, table in tables.items()
    }
    return {
        "event": "epoch",
        "phase": "search",
        "epoch": epoch,
        "loss": 0.25 + 2.0 * math.exp(-epoch / 5),
        "choice_loss": 0.35 + 2.0 * math.exp(-epoch / 5),
        "validation": {"accuracy": 1 - 0.9 * math.exp(-epoch / 4), "loss": 2.3 * math.exp(-epoch / 5)},
        "derived_validation": {
            "accuracy": 0.95 - 0.9 * math.exp(-epoch / 7) + 0.02 * math.sin(epoch + seed),
            "loss": 2.3 * math.exp(-epoch / 6),
        },
        "architecture": Architecture("darts", cells).to_dict(),
        "weights": tables,
        "credit": {
            kind: [0.02 * math.sin(0.9 * row + 0.4 * epoch + seed) * progress for row in range(len(ROWS))]
            for kind in ("normal", "reduce")
        },
        "monitor": {
            "entropy": {"normal": 1 - 0.6 * progress, "reduce": 1 - 0.5 * progress},
            "skip_share": {"normal": 0.25 * progress, "reduce": 0.5 * progress},
            "warning": None,
        },
        "seconds": 4.5,
        "peak_memory_mb": 1200.0,
    }


def _softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def write_model(path: Path, shapes: dict[str, list[int]]) -> None:
    """Write a safetensors file of zeros, as the format's specification says it."""
    header: dict[str, Any] = {
        "__metadata__": {"archgrad": json.dumps({"task": "image", "classes": ["0", "1"], "input_shape": [1, 8, 8]})}
    }
    position = 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [position, position + size]}
        position += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(position))
