"""The whole configuration of a run, as types: every setting, its default and its range, in one place.

The defaults are DARTS' (arXiv 1806.09055, appendix A): search for 50 epochs with 8 cells of 16 channels, evaluation
for 600 epochs with 20 cells of 36.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from archgrad._version import __version__

__all__ = [
    "FORMAT",
    "IN_MEMORY",
    "IN_MEMORY_TEXT",
    "ChoiceSettings",
    "DataSettings",
    "PartSettings",
    "SearchConfig",
    "SupernetSettings",
    "TrainSettings",
    "WeightSettings",
]

FORMAT: Literal[1] = 1
"""Version of ``config.yaml`` and of the run directory around it."""

IN_MEMORY, IN_MEMORY_TEXT = "in-memory", "in-memory-text"
"""What stands for a SPEC where images or series, or where text was given from Python."""

Count = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Rate = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]  # of dropping something: at 1 nothing is left to scale up
StemName = Literal["plain", "imagenet"]
Device = Annotated[
    str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="one of 'auto', 'cpu', 'cuda', 'cuda:N', 'mps'")
]


class _Settings(BaseModel):
    """A group of settings: cannot be changed once made, and has no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PartSettings(BaseModel):
    """A named part and its options.

    Attributes:
        name: its name in the registry.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The options, all that is not the name."""
        return dict(self.model_extra or {})

    def spec(self) -> dict[str, Any]:
        """Return name and options as :func:`~archgrad.runs.parts.build_part` takes them."""
        return {"name": self.name, **self.options}


def _part(name: str) -> Any:
    return Field(default_factory=lambda: PartSettings(name=name))


class DataSettings(BaseModel):
    """What is learned from.

    Settings that are None are left to the data; further ones belong to the kind of data and reach its loader.

    Attributes:
        spec: ``digits``, ``cifar10:PATH``, ``imagefolder:PATH``, ``hf:NAME``, ...
        batch: examples in one step of the search.
        workers: processes that read, where data streams from the disk.
        crop_padding: pixels of padding before a random crop; 0 for none.
        flip: whether images are mirrored at random.
        cutout: side of the square that is blanked, in pixels; 0 for none.
        size: side to which images are brought, in pixels.
        mode: colour mode of the images, such as ``RGB`` or ``L``.
        limit: use only this many training examples.
        limit_test: use only this many test examples.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    spec: str = "digits"
    batch: Count = 64
    workers: Size | None = None
    crop_padding: Size | None = None
    flip: bool | None = None
    cutout: Size | None = None
    size: Count | None = None
    mode: str | None = None
    limit: Count | None = None
    limit_test: Count | None = None

    def options(self) -> dict[str, Any]:
        """Return what was set, without ``spec`` and ``batch``: the keyword arguments of the loader."""
        return {
            key: value
            for key, value in self.model_dump().items()
            if key not in ("spec", "batch") and (value is not None or key in (self.model_extra or {}))
        }


class SupernetSettings(_Settings):
    """The network that contains every candidate.

    Attributes:
        cells: cells in the stack.
        channels: channels of the first cell's operations.
        evaluation: ``reference`` is the papers' way, ``fast`` equals it.
        share_features: one set of weights per source node (EnTranNAS).
        node_norm: batch norm on every node's sum; None leaves it to the relaxation, of which CRB asks for it.
        drop_path: probability of dropping a candidate's output for an example.
        partial: one channel in so many goes through the candidates of a cell for images, the others bypass them
            (PC-DARTS: 4).
        stem: ``plain`` keeps the images' sides, ``imagenet`` leaves an eighth of them to the first cell; None takes the
            latter for images of 112 pixels and more.
        hidden: units of every node of a recurrent cell.
        dropout_input: variational dropout of a recurrent cell's input.
        dropout_hidden: variational dropout of a recurrent cell's states.
        dropout_embedding: of a language model, probability of dropping whole words.
        dropout_output: of a language model, variational dropout before the scores.
        slowness: of a language model, factor on the change of its states from step to step in the weights' loss.
        activation: of a language model, factor on the square of its states in the weights' loss.
    """

    cells: Count = 8
    channels: Count = 16
    evaluation: Literal["fast", "reference"] = "fast"
    share_features: bool = False
    node_norm: bool | None = None
    drop_path: Probability = 0.0
    partial: Count = 1
    stem: StemName | None = None
    hidden: Count = 64
    dropout_input: Probability = 0.0
    dropout_hidden: Probability = 0.0
    dropout_embedding: Probability = 0.0
    dropout_output: Probability = 0.0
    slowness: NonNegative = 0.0
    activation: NonNegative = 0.0


class WeightSettings(_Settings):
    """How the supernet's weights learn: SGD with a cosine from ``rate`` to ``rate_end``.

    Attributes:
        rate: learning rate at the start.
        rate_end: learning rate at the end.
        momentum: SGD's momentum.
        decay: weight decay.
        clip: largest norm of the gradient; None for no clipping.
        accumulate: micro-batches that each batch is cut into, to save memory; the step is the same.
    """

    rate: Rate = 0.025
    rate_end: NonNegative = 0.001
    momentum: Momentum = 0.9
    decay: NonNegative = 3e-4
    clip: Rate | None = 5.0
    accumulate: Count = 1


class ChoiceSettings(_Settings):
    """How the choices learn: Adam at a constant rate.

    Attributes:
        rate: learning rate.
        beta1: Adam's decay of the first moment.
        beta2: Adam's decay of the second moment.
        decay: weight decay.
        clip: largest norm of the gradient; None for no clipping.
    """

    rate: Rate = 3e-4
    beta1: Momentum = 0.5
    beta2: Momentum = 0.999
    decay: NonNegative = 1e-3
    clip: Rate | None = None


class TrainSettings(_Settings):
    """How the derived network is trained: SGD or Adam with a rate that falls from ``rate`` to ``rate_end``.

    Attributes:
        epochs: passes over the training part.
        batch: examples in one step.
        cells: cells in the stack.
        channels: channels of the first cell's operations.
        rate: learning rate after the warm-up.
        rate_end: learning rate at the end.
        rate_schedule: how the rate falls: by a ``cosine``, or ``linear`` as usual on ImageNet; ``constant`` if not.
        warmup: epochs over which the rate rises from 0.
        optimizer: ``sgd``, or ``adam`` as usual for series.
        momentum: SGD's momentum.
        decay: weight decay.
        clip: largest norm of the gradient; None for no clipping.
        accumulate: batches whose gradients make one step.
        drop_path: probability of dropping a path, reached linearly at the end.
        auxiliary: weight of the auxiliary head's loss; 0 for no such head.
        cutout: side of the square that is blanked, in pixels; 0 for none; None for half of the image's side, which is
            the published 16 where images have 32.
        label_smoothing: share of the target spread over all classes.
        stem: ``plain`` keeps the images' sides, ``imagenet`` leaves an eighth of them to the first cell; None takes the
            latter for images of 112 pixels and more.
        hidden: units of every node of a recurrent cell.
        dropout_input: variational dropout of a recurrent cell's input.
        dropout_hidden: variational dropout of a recurrent cell's states.
        dropout_embedding: of a language model, probability of dropping whole words.
        dropout_output: of a language model, variational dropout before the scores.
        slowness: of a language model, factor on the change of its states from step to step in the loss.
        activation: of a language model, factor on the square of its states in the loss.
        average_after: of a language model, epochs without a better validation loss after which the network becomes the
            running mean of its weights (from SGD to averaged SGD; DARTS: 5); 0 for never.
    """

    epochs: Count = 600
    batch: Count = 96
    cells: Count = 20
    channels: Count = 36
    rate: Rate = 0.025
    rate_end: NonNegative = 0.0
    rate_schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: Size = 0
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: Momentum = 0.9
    decay: NonNegative = 3e-4
    clip: Rate | None = 5.0
    accumulate: Count = 1
    drop_path: Fraction = 0.2
    auxiliary: NonNegative = 0.4
    cutout: Size | None = None
    label_smoothing: Fraction = 0.0
    stem: StemName | None = None
    hidden: Count = 64
    dropout_input: Probability = 0.0
    dropout_hidden: Probability = 0.0
    dropout_embedding: Probability = 0.0
    dropout_output: Probability = 0.0
    slowness: NonNegative = 0.0
    activation: NonNegative = 0.0
    average_after: Size = 0


class SearchConfig(_Settings):
    """Everything that decides a run; ``config.yaml`` is this and reproduces it.

    Attributes:
        format: version of this layout.
        version: the archgrad that wrote it, for information.
        command: the words it was started with, for information.
        recipe: the composition it started from, for information.
        citation: what to cite for it.
        seed: of everything random.
        epochs: of the search.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``fp32``, ``bf16`` (autocast) or ``auto``.
        growth: None for no growth.
        perturbation: of the mixture in the weights' loss; None for none.
        penalties: by a name of the user's.
        early_stop: ``collapse`` ends a search that collapses to skip connections; ``eigenvalue`` ends one whose loss
            gets sharp in the choices, and goes back to the cells of a few epochs before.
        log_every: steps between two logged steps.
        checkpoint_every: epochs between two checkpoints.
    """

    format: Literal[1] = FORMAT
    version: str = __version__
    command: list[str] = []
    recipe: str | None = None
    citation: str = ""
    seed: Seed = 0
    epochs: Count = 50
    device: Device = "auto"
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    data: DataSettings = DataSettings()
    space: PartSettings = _part("darts")
    supernet: SupernetSettings = SupernetSettings()
    layout: PartSettings = _part("all-engines")
    relaxation: PartSettings = _part("softmax")
    schedule: PartSettings = _part("always")
    hypergradient: PartSettings = _part("first-order")
    derivation: PartSettings = _part("top-edges")
    growth: PartSettings | None = None
    perturbation: PartSettings | None = None
    penalties: dict[str, PartSettings] = {}
    weights: WeightSettings = WeightSettings()
    choices: ChoiceSettings = ChoiceSettings()
    train: TrainSettings = TrainSettings()
    early_stop: Literal["collapse", "eigenvalue"] | None = None
    log_every: Count = 10
    checkpoint_every: Count = 1
