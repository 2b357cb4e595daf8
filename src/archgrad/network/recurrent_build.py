"""From a recurrent architecture to a network: the bare recurrence, a forecaster, or a language model."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from torch import nn

from archgrad import registry
from archgrad.architecture import Architecture
from archgrad.errors import InputError, at_least_one, unknown
from archgrad.network.heads import ForecastNetwork
from archgrad.network.language import LanguageNetwork
from archgrad.network.recurrent_cells import Recurrence
from archgrad.network.recurrent_training import trains_fast

__all__ = ["build_recurrent", "is_recurrent", "recurrence_blueprint", "recurrent_network"]

CELL = "recurrent"
"""The kind of a recurrent cell in an architecture."""


def is_recurrent(architecture: Architecture) -> bool:
    """Say whether an architecture's space is one of cells over time.

    Raises:
        InputError: the space is unknown.
    """
    form: str = registry.get("space", architecture.space).skeleton().form
    return form == "time"


def recurrence_blueprint(
    architecture: Architecture,
    *,
    inputs: int,
    hidden: int,
    dropout_input: float = 0.0,
    dropout_hidden: float = 0.0,
    spread: float | None = None,
) -> dict[str, Any]:
    """Return what :class:`archgrad.network.recurrent_cells.Recurrence` is built from, as plain data that JSON can hold.

    Args:
        architecture: with a recurrent cell.
        inputs: features of x_t.
        hidden: units of every node.
        dropout_input: variational dropout of x_t.
        dropout_hidden: variational dropout of every state before its matrix.
        spread: weights start uniform in +- this; None for 1/sqrt(hidden).

    Raises:
        InputError: a size is not positive, or the cell cannot be run over time.
    """
    at_least_one(inputs=inputs, hidden=hidden)
    if CELL not in architecture.cells:
        raise InputError(f"The architecture has no cell '{CELL}'; it has {', '.join(architecture.cells)}.")
    cell = architecture.cells[CELL]
    if cell.output_combine == "concat":
        raise InputError("A recurrent cell's output cannot be 'concat'; it is mean, learned or last.")
    two_inputs = architecture.space == "two-input-rnn"
    wrong = [edge for edge in cell.edges if (edge.operand is not None) != two_inputs]
    if cell.inputs != 1 + two_inputs or (cell.combine is not None) != two_inputs or wrong:
        raise InputError(
            f"The cell is none of the space {architecture.space}: that has {1 + two_inputs} input node(s) and "
            f"{'an operand on every edge and combine' if two_inputs else 'neither operands nor combine'}."
        )
    return {
        "inputs": inputs,
        "hidden": hidden,
        "cell": cell.to_dict(),
        "network": dict(architecture.network),
        "dropout_input": dropout_input,
        "dropout_hidden": dropout_hidden,
        "spread": spread,
    }


def recurrent_network(
    architecture: Architecture,
    *,
    hidden: int,
    inputs: int | None = None,
    horizon: int | None = None,
    targets: Sequence[int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    anchor: bool = False,
    window: int | None = None,
    series: Sequence[str] | None = None,
    tokens: int | None = None,
    dropout_input: float = 0.0,
    dropout_hidden: float = 0.0,
    dropout_embedding: float = 0.0,
    dropout_output: float = 0.0,
    slowness: float = 0.0,
    activation: float = 0.0,
    spread: float | None = None,
) -> nn.Module:
    """Build the network of a recurrent architecture.

    Args:
        architecture: a cell of ``darts-rnn`` or ``two-input-rnn``.
        hidden: units of every node (DARTS on the Penn Treebank: 850).
        inputs: features of x_t; not for a language model, whose embeddings have ``hidden`` features.
        horizon: steps to forecast; makes a forecaster, [N, T, inputs] -> [N, horizon, targets].
        targets: the series that are forecast; all when None.
        mean: per series, of what the forecaster was trained on.
        std: per series.
        anchor: whether the forecaster sees each window relative to its last values.
        window: steps that the network was trained on; None where any number will do.
        series: names of the F series.
        tokens: size of the vocabulary; makes a language model with tied embeddings, [T, N] -> scores [T, N, tokens].
        dropout_input: variational dropout of x_t.
        dropout_hidden: variational dropout of every state before its matrix.
        dropout_embedding: dropout of whole words.
        dropout_output: variational dropout before the scores of a language model.
        slowness: factor on the change of a language model's states from step to step, in its training loss.
        activation: factor on their square.
        spread: weights of the cell start uniform in +- this; None for 1/sqrt(hidden).

    Returns:
        With ``tokens`` a language model, with ``horizon`` a forecaster, else the bare recurrence
        [T, N, inputs] -> (states, last state).

    Raises:
        InputError: sizes that contradict each other or are not positive.
    """
    if tokens is not None and (horizon is not None or inputs not in (None, hidden)):
        raise InputError("A language model (tokens=) takes neither horizon= nor inputs=: it reads its own embeddings.")
    if tokens is None and inputs is None:
        raise InputError("A recurrent network needs inputs= (features a step), or tokens= for a language model.")
    at_least_one(tokens=tokens, horizon=horizon, window=window)
    features = hidden if inputs is None else inputs
    core = recurrence_blueprint(
        architecture,
        inputs=features,
        hidden=hidden,
        dropout_input=dropout_input,
        dropout_hidden=dropout_hidden,
        spread=spread,
    )
    if tokens is not None:
        network = LanguageNetwork(
            {
                "kind": "language",
                "recurrence": core,
                "tokens": tokens,
                "window": window,
                "dropout_embedding": dropout_embedding,
                "dropout_output": dropout_output,
                "slowness": slowness,
                "activation": activation,
            }
        )
        return trains_fast(network)
    if horizon is None:
        return trains_fast(Recurrence(core))
    chosen = list(range(features)) if targets is None else [int(target) for target in targets]
    if not chosen or not all(0 <= target < features for target in chosen):
        raise InputError(f"targets is {chosen}; it must name series from 0 to {features - 1}.")
    forecaster = ForecastNetwork(
        {
            "kind": "forecast",
            "recurrence": core,
            "window": window,
            "series": None if series is None else list(series),
            "horizon": horizon,
            "targets": chosen,
            "mean": None if mean is None else [float(m) for m in mean],
            "std": None if std is None else [float(s) for s in std],
            "anchor": anchor,
        }
    )
    return trains_fast(forecaster)


def build_recurrent(architecture: Architecture, sizes: dict[str, Any]) -> nn.Module:
    """Build a recurrent network from the words of :func:`archgrad.build`.

    Args:
        architecture: a recurrent one.
        sizes: keyword arguments of :func:`recurrent_network`.

    Raises:
        InputError: an unknown or missing size.
    """
    known = [name for name in inspect.signature(recurrent_network).parameters if name != "architecture"]
    for name in sizes:
        if name not in known:
            raise unknown("size", name, known, "build")
    if "hidden" not in sizes:
        raise InputError("A recurrent network needs hidden=, the units of its nodes, such as hidden=64.")
    return recurrent_network(architecture, **sizes)
