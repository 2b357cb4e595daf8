"""Pickles from the internet, read as data: numbers, text and containers come out, nothing in them is ever run.

A pickle names functions and classes that are to be called while it is read. Here every name stands for a plain record
of this file or is refused; numpy and torch are not called at all.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO, Any

__all__ = ["CONTAINERS", "NUMPY", "TORCH", "Array", "Kind", "PlainUnpickler", "RefusedNameError"]

Names = Mapping[tuple[str, str], Any]
"""(module, name) as a pickle asks for it -> what it gets."""


class RefusedNameError(pickle.UnpicklingError):
    """A pickle asks for something that data do not need."""


class PlainUnpickler(pickle.Unpickler):
    """Reads a pickle whose names are all known; refuses every other.

    Args:
        file: opened to read bytes.
        names: what it may ask for.
        purpose: what kind of file it should be, for the message.
        encoding: of text from Python 2; "bytes" leaves it as bytes.
    """

    def __init__(self, file: IO[bytes], names: Names, purpose: str, encoding: str = "ASCII") -> None:
        super().__init__(file, encoding=encoding)
        self.names, self.purpose = names, purpose

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name.

        Raises:
            RefusedNameError: it is not one of the known.
        """
        if (module, name) not in self.names:
            raise RefusedNameError(f"it asks for {module}.{name}, which {self.purpose} does not need")
        return self.names[module, name]

    def persistent_load(self, pid: Any) -> Nothing:
        """Return nothing for what lies outside of the pickle: the numbers of torch's tensors."""
        return Nothing()


class Array:
    """What a pickled numpy array says of itself."""

    shape: tuple[object, ...] = ()
    kind: object = None
    content: object = b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.kind, _, self.content = state


class Kind:
    """What a pickled numpy dtype says of itself; its byte order is taken to be this machine's usual one, little."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Take no notice."""


class Nothing:
    """Stands for what is of no interest, whatever is done to it while a pickle is read."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take no notice."""

    def __setstate__(self, state: object) -> None:
        """Take no notice."""


_FORMATS = {"f8": "<d", "f4": "<f", "i8": "<q", "i4": "<i"}


def _array(*_: object) -> Array:
    return Array()


def _scalar(kind: Any, content: Any = b"") -> float | None:
    """Return a pickled numpy number, None if it is of another type."""
    code = kind.code.decode() if isinstance(kind.code, bytes) else kind.code
    content = content.encode("latin-1") if isinstance(content, str) else content
    form = _FORMATS.get(code)
    return None if form is None else struct.unpack(form, content)[0]


def _encoded(text: str, *_: object) -> bytes:
    """Return the bytes that Python 3 writes as latin-1 text in protocols below 3."""
    return text.encode("latin-1")


def _nothing(*_: object, **__: object) -> Nothing:
    return Nothing()


NUMPY: Names = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): Kind,
    ("_codecs", "encode"): _encoded,
}
"""Arrays as records, numbers as numbers."""

CONTAINERS: Names = {("collections", "OrderedDict"): OrderedDict}

TORCH: Names = {
    **{("torch._utils", name): _nothing for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")},
    ("torch.storage", "_load_from_bytes"): _nothing,
    **{("torch", f"{kind}Storage"): Nothing for kind in ("Float", "Double", "Half", "Long", "Int", "Bool", "Byte")},
}
"""Tensors, as nothing: they are skipped, not loaded."""
