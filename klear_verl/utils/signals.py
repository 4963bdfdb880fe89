# SPDX-License-Identifier: Apache-2.0
"""The signals that ask a command to end: Ctrl-C, SIGTERM (a scheduler, `timeout`, a container's stop) and SIGHUP (the
terminal is gone)."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def on_stop(stop: Callable[[], object]) -> Iterator[None]:
    """Calls `stop` whenever one of them arrives inside the block, and nothing else happens.

    Those that are ignored when the block begins (`nohup`, a background job) stay ignored. `stop` runs amid whatever the
    main thread is doing: it must take no lock. Python gives signals to the main thread alone, so that in any other this
    does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {
        number: signal.signal(number, lambda *_: stop())
        for number in STOP_SIGNALS
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, before in earlier.items():
            signal.signal(number, before)


@contextmanager
def stop_as_interrupt() -> Iterator[None]:
    """Inside the block each of them raises KeyboardInterrupt, as Ctrl-C does, so that one clean-up serves all."""
    with on_stop(_interrupt):
        yield


def _interrupt() -> None:
    raise KeyboardInterrupt
