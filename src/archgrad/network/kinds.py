"""The kinds of network that can be trained and saved, and all in which they differ there: one table.

A blueprint names its kind under ``kind``; networks for images, which name none, are ``image``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from archgrad.network.heads import ForecastNetwork
from archgrad.network.image import ImageNetwork
from archgrad.network.language import LanguageNetwork, Reading
from archgrad.network.recurrent_training import trains_fast

__all__ = ["KINDS", "ForecastKind", "ImageKind", "Kind", "LanguageKind", "Network", "kind_of"]

Network = ImageNetwork | ForecastNetwork | LanguageNetwork
"""What a training trains and model.safetensors holds."""


class Kind(Protocol):
    """How one kind of network is built, trained and noted down."""

    name: ClassVar[str]
    """As in a blueprint."""
    classifies: ClassVar[bool]
    """Whether an output is right or wrong."""
    held_out: ClassVar[bool]
    """Whether the part ``validation`` lies outside of ``train``, so that it can judge while all of that is learnt."""
    noted: ClassVar[dict[str, type]]
    """Lists that must stand beside the blueprint in a saved file, with the type of their entries."""

    def build(self, blueprint: dict[str, Any]) -> Network:
        """Return the network of a blueprint, with fresh weights."""
        ...

    def lay_out(self, network: Any) -> None:
        """Bring the weights into the memory layout that trains fastest."""
        ...

    def begin_epoch(self, network: Any, drop_path: float) -> None:
        """Take up the drop-path probability of the epoch that begins."""
        ...

    def strip(self, network: Any) -> None:
        """Take out what serves the training alone."""
        ...

    def forward(self, network: Any, x: Tensor, *handed: Tensor) -> tuple[Any, Tensor | None]:
        """Return the output, and that of the auxiliary head if there is one.

        Args:
            network: of this kind.
            x: a batch.
            *handed: the state that the batch before it left, where there is one.
        """
        ...

    def measured(self, network: Any) -> Callable[..., Any]:
        """Return what a task measures: a callable of a batch and of what it is handed on, to its output."""
        ...

    def right(self, output: Any, target: Tensor) -> Tensor:
        """Return how many outputs are right; 0 where that is no question."""
        ...


class ImageKind:
    """Stacks of cells that classify images."""

    name: ClassVar[str] = "image"
    classifies: ClassVar[bool] = True
    held_out: ClassVar[bool] = False
    noted: ClassVar[dict[str, type]] = {"classes": str, "input_shape": int}

    def build(self, blueprint: dict[str, Any]) -> ImageNetwork:
        """Return the network of a blueprint, with fresh weights."""
        return ImageNetwork(blueprint)

    def lay_out(self, network: Any) -> None:
        """Lay weights out channels last: a quarter faster on a CPU and what a GPU's tensor cores want."""
        network.to(memory_format=torch.channels_last)

    def begin_epoch(self, network: Any, drop_path: float) -> None:
        """Take up the drop-path probability of the epoch that begins."""
        network.drop_path = drop_path

    def strip(self, network: Any) -> None:
        """Take the auxiliary head out."""
        if network.auxiliary_layer >= 0:
            del network.auxiliary
            network.auxiliary_layer = -1
            network.blueprint = {**network.blueprint, "auxiliary": False}

    def measured(self, network: Any) -> Callable[..., Any]:
        """Return the network itself."""
        network_itself: Callable[..., Any] = network
        return network_itself

    def forward(self, network: Any, x: Tensor, *handed: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the scores, and those of the auxiliary head if there is one."""
        outputs: tuple[Tensor, Tensor | None] = network.with_auxiliary(x.contiguous(memory_format=torch.channels_last))
        return outputs

    def right(self, output: Tensor, target: Tensor) -> Tensor:
        """Return how many images are told apart."""
        return (output.argmax(1) == target).sum()


class ForecastKind:
    """Recurrent cells that forecast series."""

    name: ClassVar[str] = "forecast"
    classifies: ClassVar[bool] = False
    held_out: ClassVar[bool] = False
    noted: ClassVar[dict[str, type]] = {"series": str, "input_shape": int}

    def build(self, blueprint: dict[str, Any]) -> ForecastNetwork:
        """Return the network of a blueprint, with fresh weights."""
        return trains_fast(ForecastNetwork(blueprint))

    def lay_out(self, network: Any) -> None:
        """Leave the weights as they are."""

    def begin_epoch(self, network: Any, drop_path: float) -> None:
        """Do nothing: a recurrent cell has dropouts of its own."""

    def strip(self, network: Any) -> None:
        """Do nothing: all of it is used."""

    def measured(self, network: Any) -> Callable[..., Any]:
        """Return the network itself."""
        network_itself: Callable[..., Any] = network
        return network_itself

    def forward(self, network: Any, x: Tensor, *handed: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the forecasts; there is no auxiliary head."""
        return network(x), None

    def right(self, output: Tensor, target: Tensor) -> Tensor:
        """Return 0: a forecast is near or far, not right."""
        return output.new_zeros(())


class LanguageKind:
    """Recurrent cells that read text."""

    name: ClassVar[str] = "language"
    classifies: ClassVar[bool] = False
    held_out: ClassVar[bool] = True
    noted: ClassVar[dict[str, type]] = {"vocabulary": str, "input_shape": int}

    def build(self, blueprint: dict[str, Any]) -> LanguageNetwork:
        """Return the network of a blueprint, with fresh weights."""
        return trains_fast(LanguageNetwork(blueprint))

    def lay_out(self, network: Any) -> None:
        """Leave the weights as they are."""

    def begin_epoch(self, network: Any, drop_path: float) -> None:
        """Do nothing: a recurrent cell has dropouts of its own."""

    def strip(self, network: Any) -> None:
        """Do nothing: all of it is used."""

    def measured(self, network: Any) -> Callable[..., Reading]:
        """Return what makes a :class:`archgrad.network.language.Reading` of tokens [N, T]."""
        return lambda x, *handed: network.read(x.transpose(0, 1), *handed)

    def forward(self, network: Any, x: Tensor, *handed: Tensor) -> tuple[Reading, Tensor | None]:
        """Return what the scores of the next tokens follow from; there is no auxiliary head."""
        return self.measured(network)(x, *handed), None

    def right(self, output: Reading, target: Tensor) -> Tensor:
        """Return 0: a distribution over tokens is near or far, not right."""
        return output.bias.new_zeros(())


KINDS: dict[str, Kind] = {kind.name: kind for kind in (ImageKind(), ForecastKind(), LanguageKind())}


def kind_of(blueprint: Mapping[str, Any]) -> Kind:
    """Return the kind that a blueprint names.

    Raises:
        KeyError: there is no such kind.
    """
    return KINDS[blueprint.get("kind", ImageKind.name)]
