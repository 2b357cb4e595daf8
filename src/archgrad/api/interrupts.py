"""Ctrl-C asks for a stop between two steps, where the state is whole, instead of breaking a step in the middle."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["minding_interrupts"]


@contextmanager
def minding_interrupts(ask: Callable[[], None]) -> Iterator[None]:
    """Within it the first Ctrl-C only calls ``ask``; a second one acts at once.

    Args:
        ask: remembers that a stop was asked for.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets the main thread alone handle signals
        return

    def handle(number: int, frame: FrameType | None) -> None:
        ask()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
