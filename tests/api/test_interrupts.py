"""Ctrl-C asks first and acts when it is pressed again."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from archgrad.api.interrupts import minding_interrupts


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_press_asks_and_the_second_acts() -> None:
    before, asked = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt), minding_interrupts(lambda: asked.append(True)):
        press()
        assert asked == [True]
        press()
    assert asked == [True]
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_of_the_main_thread_signals_are_left_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with minding_interrupts(lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
