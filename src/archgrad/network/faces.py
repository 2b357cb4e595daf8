"""What the outside of an exported network looks like, by its kind: names, examples to try it on, words about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from archgrad.network.kinds import ForecastKind, ImageKind, LanguageKind, kind_of
from archgrad.network.language import LanguageStep

__all__ = ["FACES", "Example", "Face", "ForecastFace", "ImageFace", "LanguageFace", "face_of"]

Blueprint = Mapping[str, Any]

_IMAGE_HEAD = '''\
"""An image classifier, made by archgrad {version}. This file and {name}.safetensors are all it takes.

    import torch
    from {name} import CLASSES, load

    network = load()  # a torch.nn.Module in evaluation mode; reads {name}.safetensors beside this file
    images = torch.rand(2, {shape})  # float32 [N, C, H, W], values from 0 to 1
    with torch.no_grad():
        scores = network(images)  # [N, {count}]; softmax(1) makes probabilities of them
    print([CLASSES[best] for best in scores.argmax(1)])
'''

_FORECAST_HEAD = '''\
"""A forecaster of series, made by archgrad {version}. This file and {name}.safetensors are all it takes.

    import torch
    from {name} import BLUEPRINT, SERIES, load

    network = load()  # a torch.nn.Module in evaluation mode; reads {name}.safetensors beside this file
    windows = torch.rand(2, {shape})  # float32 [N, rows, series], oldest row first, in the units of the data
    with torch.no_grad():
        forecasts = network(windows)  # [N, rows ahead, targets], in the units of the data
    print([SERIES[target] for target in BLUEPRINT["targets"]], forecasts)
'''


_LANGUAGE_HEAD = '''\
"""A language model, made by archgrad {version}. This file and {name}.safetensors are all it takes.

    import torch
    from {name} import VOCABULARY, load

    network = load()  # a torch.nn.Module in evaluation mode; reads {name}.safetensors beside this file
    tokens, state = [VOCABULARY.index("<eos>")], None
    with torch.no_grad():
        for _ in range({shape}):
            scores, state = network(torch.tensor([tokens[-1:]]), state)  # tokens [T, N] -> [T, N, {count}], [N, units]
            tokens.append(int(torch.multinomial(scores[-1, 0].softmax(0), 1)))
    print(" ".join(VOCABULARY[token] for token in tokens))
'''

Examples = tuple[Tensor, ...]


@dataclass(frozen=True)
class Example:
    """The shape of one input of a network that somebody built.

    Attributes:
        known: where the blueprint tells it, else None.
        like: a shape that would do.
        words: what its sides are.
    """

    known: tuple[int, ...] | None
    like: tuple[int, ...]
    words: str


class Face(Protocol):
    """The outside of one kind of network."""

    inputs: tuple[str, ...]
    """What goes in; the first dimension of each is the batch."""
    outputs: tuple[str, ...]
    """What comes out."""
    names: str
    """What the names in the metadata are names of."""
    parts: tuple[str, ...]
    """The files of :mod:`archgrad.network` that a standalone file is made of, in this order."""
    network: str
    """The class in them that takes the blueprint."""
    head: str
    """How the standalone file begins."""

    def notes(self, blueprint: Blueprint, names: Sequence[str]) -> dict[str, Any]:
        """Return what an exported file says beside the network, as plain data."""
        ...

    def program(self, network: Any) -> nn.Module:
        """Return what ONNX and ``torch.export`` keep of a network; the Python file keeps the network itself."""
        ...

    def example(self, blueprint: Blueprint, shape: Sequence[int], batch: int, random: torch.Generator) -> Examples:
        """Return a random input such as :meth:`program` may get, one tensor for each of ``inputs``."""
        ...

    def unfolded(self, example: Examples) -> Examples:
        """Return an example for the network itself, made of one for :meth:`program`."""
        ...

    def unit(self, blueprint: Blueprint) -> Tensor:
        """Return what an output's difference is measured in."""
        ...

    def takes(self, blueprint: Blueprint) -> str:
        """Say which inputs the network takes."""
        ...

    def shape(self, blueprint: Blueprint) -> Example:
        """Return the shape of one input."""
        ...

    def numbered(self, blueprint: Blueprint) -> list[str]:
        """Return the names that the blueprint knows, or numbers in their place."""
        ...


@dataclass
class ImageFace:
    """Images [batch, C, H, W] -> logits [batch, classes]."""

    inputs: tuple[str, ...] = ("images",)
    outputs: tuple[str, ...] = ("logits",)
    names: str = "classes"
    parts: tuple[str, ...] = ("modules", "residual", "image", "reading")
    network: str = "ImageNetwork"
    head: str = _IMAGE_HEAD

    def notes(self, blueprint: Blueprint, names: Sequence[str]) -> dict[str, Any]:
        """Return the names of the classes."""
        return {"classes": list(names)}

    def program(self, network: Any) -> nn.Module:
        """Return the network."""
        whole: nn.Module = network
        return whole

    def example(self, blueprint: Blueprint, shape: Sequence[int], batch: int, random: torch.Generator) -> Examples:
        """Return random images."""
        return (torch.rand(batch, *shape, generator=random),)

    def unfolded(self, example: Examples) -> Examples:
        """Return the example."""
        return example

    def unit(self, blueprint: Blueprint) -> Tensor:
        """Return 1: scores have no unit."""
        return torch.ones(())

    def takes(self, blueprint: Blueprint) -> str:
        """Say which images the network takes."""
        return f"has {blueprint['in_channels']} input channels"

    def shape(self, blueprint: Blueprint) -> Example:
        """Return a usual shape: a blueprint does not tell how large images are."""
        return Example(None, (blueprint["in_channels"], 32, 32), "(channels, height, width)")

    def numbered(self, blueprint: Blueprint) -> list[str]:
        """Return the classes' numbers."""
        return [str(number) for number in range(blueprint["classes"])]


@dataclass
class ForecastFace:
    """Windows [batch, T, F] -> forecasts [batch, horizon, targets], both in the data's units."""

    inputs: tuple[str, ...] = ("windows",)
    outputs: tuple[str, ...] = ("forecasts",)
    names: str = "series"
    parts: tuple[str, ...] = ("recurrent", "recurrent_cells", "heads", "reading")
    network: str = "ForecastNetwork"
    head: str = _FORECAST_HEAD

    def notes(self, blueprint: Blueprint, names: Sequence[str]) -> dict[str, Any]:
        """Return the names of the series and of those that are forecast."""
        return {"series": list(names), "targets": [names[target] for target in blueprint["targets"]]}

    def program(self, network: Any) -> nn.Module:
        """Return the network."""
        whole: nn.Module = network
        return whole

    def unfolded(self, example: Examples) -> Examples:
        """Return the example."""
        return example

    def example(self, blueprint: Blueprint, shape: Sequence[int], batch: int, random: torch.Generator) -> Examples:
        """Return windows with the means and spreads that the network was trained on."""
        standard = torch.randn(batch, *shape, generator=random)
        return (standard * torch.tensor(blueprint["std"] or 1.0) + torch.tensor(blueprint["mean"] or 0.0),)

    def unit(self, blueprint: Blueprint) -> Tensor:
        """Return the targets' spreads, so that a series of large numbers does not hide the others."""
        return torch.tensor(blueprint["std"] or [1.0] * blueprint["recurrence"]["inputs"])[blueprint["targets"]]

    def takes(self, blueprint: Blueprint) -> str:
        """Say which windows the network takes."""
        return f"takes rows of {blueprint['recurrence']['inputs']} series"

    def shape(self, blueprint: Blueprint) -> Example:
        """Return the window's shape, where the blueprint tells its length."""
        series, window = blueprint["recurrence"]["inputs"], blueprint.get("window")
        return Example((window, series) if window else None, (window or 96, series), "(rows, series)")

    def numbered(self, blueprint: Blueprint) -> list[str]:
        """Return the series' names, or their numbers."""
        return list(blueprint.get("series") or map(str, range(blueprint["recurrence"]["inputs"])))


@dataclass
class LanguageFace:
    """One step of a language model: token [batch], state [batch, units] -> scores [batch, vocabulary], next state."""

    inputs: tuple[str, ...] = ("token", "state")
    outputs: tuple[str, ...] = ("scores", "next_state")
    names: str = "vocabulary"
    parts: tuple[str, ...] = ("recurrent", "recurrent_cells", "language", "reading")
    network: str = "LanguageNetwork"
    head: str = _LANGUAGE_HEAD

    def notes(self, blueprint: Blueprint, names: Sequence[str]) -> dict[str, Any]:
        """Return the tokens of the vocabulary, and how many numbers a state has."""
        return {"vocabulary": list(names), "state_width": _state_width(blueprint)}

    def program(self, network: Any) -> nn.Module:
        """Return one step of the model."""
        return LanguageStep(network).eval()

    def example(self, blueprint: Blueprint, shape: Sequence[int], batch: int, random: torch.Generator) -> Examples:
        """Return random tokens and small states."""
        token = torch.randint(blueprint["tokens"], (batch,), generator=random)
        return token, 0.1 * torch.randn(batch, _state_width(blueprint), generator=random)

    def unfolded(self, example: Examples) -> Examples:
        """Return the tokens as a text of one step."""
        token, state = example
        return token[None], state

    def unit(self, blueprint: Blueprint) -> Tensor:
        """Return 1: scores have no unit."""
        return torch.ones(())

    def takes(self, blueprint: Blueprint) -> str:
        """Say what the network takes."""
        return f"takes tokens from 0 to {blueprint['tokens'] - 1}"

    def shape(self, blueprint: Blueprint) -> Example:
        """Return the length of a window; every other will do as well."""
        window = blueprint.get("window") or 35
        return Example((window,), (window,), "(tokens,)")

    def numbered(self, blueprint: Blueprint) -> list[str]:
        """Return the tokens' numbers."""
        return [str(number) for number in range(blueprint["tokens"])]


def _state_width(blueprint: Blueprint) -> int:
    core = blueprint["recurrence"]
    return int(core["hidden"]) * (2 if core.get("lstm") else 1)


FACES: dict[str, Face] = {
    ImageKind.name: ImageFace(),
    ForecastKind.name: ForecastFace(),
    LanguageKind.name: LanguageFace(),
}


def face_of(blueprint: Blueprint) -> Face:
    """Return the outside of a blueprint's network."""
    return FACES[kind_of(blueprint).name]
