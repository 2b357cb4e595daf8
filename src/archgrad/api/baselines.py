"""``baselines``: what a trained network is worth beside standard models of its size, trained as long as it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from archgrad.api.from_python import ask_again
from archgrad.api.trained import find_trained
from archgrad.errors import InputError, unknown
from archgrad.network.kinds import ForecastKind, ImageKind, LanguageKind, kind_of
from archgrad.runs.directory import RunDirectory
from archgrad.runs.log import read
from archgrad.runs.settings import TrainSettings
from archgrad.tasks import baselines as image
from archgrad.tasks import forecasting_baselines as series
from archgrad.tasks import language_baselines as text
from archgrad.tasks.data import find_device, open_data
from archgrad.tasks.equal_size import MeasuredBaseline

__all__ = ["BASELINES", "BaselinesResult", "Budget", "baselines"]


@dataclass(frozen=True)
class Budget:
    """What a baseline gets: what the found network had.

    Args:
        data: of the training, with its batch.
        parameters: of the found network.
        epochs: that it was trained.
        settings: of its training.
        seed: of initial weights.
        device: where it was trained.
    """

    data: Any
    parameters: int
    epochs: int
    settings: TrainSettings
    seed: int
    device: torch.device

    @property
    def steps(self) -> int:
        """Updates of the found network's training."""
        return int(self.epochs * self.data.steps("train"))


@dataclass(frozen=True)
class BaselinesResult:
    """A trained network and its baselines, all measured on the same test part.

    Args:
        found: the trained network.
        baselines: what it is compared with, by name.
        skipped: name -> why a baseline could not be had on these data.
        metric: the task's first metric, by which they are compared.
    """

    found: MeasuredBaseline
    baselines: dict[str, MeasuredBaseline]
    metric: str
    skipped: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return asdict(self)


def _plain_network(budget: Budget) -> MeasuredBaseline:
    options = {name: getattr(budget.settings, name) for name in ("rate", "momentum", "clip")}
    return image.plain_network(
        budget.data,
        at_least=budget.parameters,
        epochs=budget.epochs,
        weight_decay=budget.settings.decay,
        seed=budget.seed,
        **options,
    )


def _forecaster(name: str, build: Callable[[Budget], torch.nn.Module]) -> Callable[[Budget], MeasuredBaseline]:
    def fit(budget: Budget) -> MeasuredBaseline:
        with torch.random.fork_rng([]):
            torch.manual_seed(budget.seed)
            network = build(budget).to(budget.device)
        settings = budget.settings
        return series.fit_network(
            name, network, budget.data, steps=budget.steps, rate=settings.rate, clip=settings.clip or float("inf")
        )

    return fit


def _language_lstm(budget: Budget) -> MeasuredBaseline:
    names = ("dropout_input", "dropout_embedding", "dropout_output", "slowness", "activation")
    options = {name: getattr(budget.settings, name) for name in names}
    with torch.random.fork_rng([]):
        torch.manual_seed(budget.seed)
        tokens = len(budget.data.vocabulary.tokens)
        network = text.lstm_of_size(tokens, budget.parameters, window=budget.data.window, **options)
    settings = budget.settings.model_copy(update={"epochs": budget.epochs})
    return text.fit_language_model("LSTM", network.to(budget.device), budget.data, settings)


BASELINES: dict[str, dict[str, Callable[[Budget], MeasuredBaseline]]] = {
    ImageKind.name: {
        "logistic-regression": lambda budget: image.logistic_regression(budget.data),
        "plain-network": _plain_network,
    },
    ForecastKind.name: {
        "last-value": lambda budget: series.last_value(budget.data),
        "seasonal-naive": lambda budget: series.seasonal_naive(budget.data),
        "var": lambda budget: series.vector_autoregression(budget.data),
        "linear": _forecaster("linear (DLinear)", lambda budget: series.LinearForecaster(budget.data)),
        "lstm": _forecaster("LSTM", lambda budget: series.gated_of_size(budget.data, "lstm", budget.parameters)),
        "gru": _forecaster("GRU", lambda budget: series.gated_of_size(budget.data, "gru", budget.parameters)),
    },
    LanguageKind.name: {
        "unigram": lambda budget: text.unigram(budget.data),
        "lstm": _language_lstm,
    },
}
"""By kind of network: name -> how the baseline is made and measured."""


def baselines(
    run: str | Path,
    *,
    only: Sequence[str] | None = None,
    data: object = None,
    device: str = "auto",
    on_baseline: Callable[[MeasuredBaseline], None] | None = None,
) -> BaselinesResult:
    """Measure standard models beside the trained network of a run.

    Those that are trained get the network's data, batch, number of updates, learning rate and seed, and as many
    parameters: LSTM and GRU those nearest to it, the plain convolutional network at least as many. What is measured is
    kept in the run's ``baselines.json``, and not measured again.

    Args:
        run: a run directory with a trained network.
        only: names of baselines, see :data:`BASELINES`; all that the data allow if None.
        data: the user's own objects, where the network was trained on such.
        device: "auto", "cpu", "cuda", "cuda:1".
        on_baseline: called with every one as it is measured.

    Raises:
        InputError: no trained network, an unknown name, data that are missing or have changed, or one that was asked
            for cannot be had.
    """
    network, about = find_trained(run)
    known = BASELINES[kind_of(network.blueprint).name]
    for name in only or ():
        if name not in known:
            raise unknown("baseline", name, sorted(known))
    directory = RunDirectory.open(run)
    end, settings = _training(directory)
    budget = _budget(about, end, settings, data, find_device(device))
    found = MeasuredBaseline(
        name="found network", metrics=end["test"], parameters=int(end["parameters"]), seconds=float(end["seconds"])
    )
    measured, skipped = dict(_measured_before(directory, end)), {}
    for name in only or known:
        if name in measured:
            continue
        try:
            measured[name] = known[name](budget)
        except InputError as error:
            if only:
                raise
            skipped[name] = str(error)
            continue
        directory.write_text(directory.baselines, _kept(measured, end, complete=False))
        if on_baseline:
            on_baseline(measured[name])
    if not only:
        directory.write_text(directory.baselines, _kept(measured, end, complete=True))
    metric = next(name for name in found.metrics if name != "loss")
    return BaselinesResult(found, {name: measured[name] for name in only or known if name in measured}, metric, skipped)


def _training(directory: RunDirectory) -> tuple[dict[str, Any], TrainSettings]:
    """Return the end of the training whose network lies there, and its settings."""
    events = [event for event in read(directory.log) if event.get("phase") == "train"]
    ends = [event for event in events if event["event"] == "end"]
    starts = [event for event in events if event["event"] == "start"]
    if not ends or not starts:
        raise InputError(f"The log of {directory.path} does not say how its network was trained; train it again.")
    return ends[-1], TrainSettings.model_validate(starts[-1]["train"])


def _budget(
    about: Mapping[str, Any], end: Mapping[str, Any], settings: TrainSettings, data: object, device: torch.device
) -> Budget:
    """Open the data of the training as it did."""
    spec, seed = str(about["data"]), int(about["seed"])
    if data is None:
        ask_again(spec, "The network was trained on", "{what}")
    options = {name: value for name, value in (about.get("data_options") or {}).items() if name != "cutout"}
    opened = open_data(
        spec if data is None else data,
        seed=seed,
        batch=settings.batch,
        choice_share=0.0,
        device=device,
        options=options,
    )
    if opened.fingerprint != about["fingerprint"]:
        raise InputError(
            f"The data {spec} are not those that the network was trained on, so it cannot be compared on them."
        )
    return Budget(opened, int(end["parameters"]), int(end["epochs"]), settings, seed, device)


def _kept(measured: Mapping[str, MeasuredBaseline], end: Mapping[str, Any], complete: bool) -> str:
    """Return the text of baselines.json; what it belongs to is known by the network's figures."""
    rows = {name: asdict(row) for name, row in measured.items()}
    return json.dumps({"of": _mark(end), "complete": complete, "baselines": rows}, indent=1)


def _measured_before(directory: RunDirectory, end: Mapping[str, Any]) -> Iterator[tuple[str, MeasuredBaseline]]:
    """Yield what an earlier call measured beside the same network."""
    try:
        kept = json.loads(directory.baselines.read_text(encoding="utf-8"))
        rows = [(name, MeasuredBaseline(**row)) for name, row in kept["baselines"].items()]
        same = kept["of"] == _mark(end)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none yet, or damaged: measured again
        return
    yield from rows if same else ()


def _mark(end: Mapping[str, Any]) -> dict[str, Any]:
    return {"parameters": end["parameters"], "epochs": end["epochs"], "test": end["test"]}
