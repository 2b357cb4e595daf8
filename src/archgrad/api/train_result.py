"""What a training hands back and leaves behind."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archgrad.api.train_kinds import Task, TrainKind
from archgrad.api.train_recorder import TrainRecorder
from archgrad.architecture import Architecture
from archgrad.network.build import count_flops
from archgrad.network.kinds import Network
from archgrad.network.saved import network_bytes
from archgrad.network.training import TrainState
from archgrad.tasks.data import Data

__all__ = ["TrainResult", "finish"]


@dataclass(frozen=True)
class TrainResult:
    """What a training hands back; :meth:`to_dict` gives all but ``network`` and ``metadata``.

    Args:
        network: the trained network in eval mode, without its auxiliary head.
        architecture: what was trained.
        run: the run directory, if one was written.
        metrics: of the network on the test part: name -> value.
        parameters: trainable numbers of the network.
        flops: multiply-adds of one example.
        seconds: spent training, interruptions not counted.
        epochs: that were done.
        data: the SPEC, or "in-memory".
        seed: of everything random.
        metadata: what is saved with the network: classes, series or vocabulary, shape of an example, data.
        cells: cells in the stack, of a network for images.
        channels: channels of the first cell's nodes, of a network for images.
        hidden: units of every node, of a recurrent one.
    """

    network: Network = field(repr=False)
    architecture: Architecture
    run: Path | None
    metrics: dict[str, float]
    parameters: int
    flops: int
    seconds: float
    epochs: int
    data: str
    seed: int
    metadata: dict[str, Any] = field(repr=False)
    cells: int | None = None
    channels: int | None = None
    hidden: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data, what ``--json`` prints."""
        inside = ("network", "metadata")
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in inside}
        return plain | {"architecture": self.architecture.to_dict(), "run": str(self.run) if self.run else None}


def finish(
    state: TrainState, data: Data, task: Task, recorder: TrainRecorder, architecture: Architecture, kind: TrainKind
) -> TrainResult:
    """Measure a trained network, and write the end of the log and model.safetensors.

    Args:
        state: as the training left it.
        data: its test part is measured.
        task: gives the metrics.
        recorder: knows where to write, if anywhere.
        architecture: what was trained.
        kind: of its network.

    Raises:
        RunError: the network could not be written.
    """
    config, target = recorder.config, recorder.run
    network = kind.finished(state.result)
    result = TrainResult(
        network=network,
        architecture=architecture,
        run=target.path if target else None,
        metrics=task.evaluate(state.kind.measured(network), data.once("test")),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        flops=count_flops(network, data.input_shape),
        seconds=recorder.seconds,
        epochs=state.epoch,
        data=config.data.spec,
        seed=config.seed,
        **kind.size(network),
        metadata={
            "blueprint": network.blueprint,
            "task": task.name,
            **kind.noted(data),
            "input_shape": list(data.input_shape),
            "data": config.data.spec,
            "data_options": config.data.options(),
            "seed": config.seed,
            "fingerprint": data.fingerprint,
        },
    )
    recorder.tell("end", state, {"test": result.metrics, **result.to_dict()})
    if target and recorder.log:
        if kind.shown is not None:
            target.write_text(target.forecasts, json.dumps(kind.shown(network, data), allow_nan=False))
        # last of all: where there is a model, everything else is there
        target.write_bytes(target.model, network_bytes(network, result.metadata))
    return result
