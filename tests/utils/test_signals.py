# SPDX-License-Identifier: Apache-2.0
"""Stop signals do one thing inside a block, and what they did before after it."""

import os
import signal
import threading

import pytest

from klear_verl.utils.signals import STOP_SIGNALS, on_stop, stop_as_interrupt


@pytest.fixture(autouse=True)
def nothing_ignored():
    before = {number: signal.signal(number, signal.default_int_handler) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_stop_signal_calls_the_function_and_nothing_else(number):
    calls = []
    with on_stop(lambda: calls.append(1)):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert calls == [1, 1]


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_each_of_them_can_be_an_interrupt(number):
    signal.signal(number, lambda *_: None)
    with pytest.raises(KeyboardInterrupt), stop_as_interrupt():
        os.kill(os.getpid(), number)


def test_after_the_block_the_earlier_handlers_are_back():
    with on_stop(lambda: None):
        pass
    assert {signal.getsignal(number) for number in STOP_SIGNALS} == {signal.default_int_handler}


def test_what_is_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with on_stop(lambda: None):
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_in_another_thread_it_does_nothing():
    def enter():
        with on_stop(lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    seen = []
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
