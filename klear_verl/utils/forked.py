# SPDX-License-Identifier: Apache-2.0
"""Starting a module of this package as a fork of this process, which has imported what it needs, where a new
interpreter would import it again.

The child stays what `subprocess.Popen` makes of it: a child of this process, with its own pipes, session and signals.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NoReturn

from klear_verl.utils.signals import STOP_SIGNALS

_prepared = False


def prepare(load: Callable[[], object]) -> None:
    """Calls `load`, silently, and has this process and its forks start modules by forking from now on. Once."""
    global _prepared
    if _prepared:
        return
    with _silence():
        load()
    gc.collect()
    gc.freeze()  # a collection in a child would write to every page, and so copy it
    _prepared = True


def instead_of(
    command: Sequence[str],
    keep: Collection[int] = (),
    environment: Mapping[str, str] | None = None,
    first: Callable[[], object] | None = None,
) -> Callable[[], object] | None:
    """The `preexec_fn` with which `subprocess.Popen(command)` goes on as a fork, and executes nothing.

    Args:
        command: as of `python_module`; the module has a `main`.
        keep: `pass_fds`.
        environment: `env`.
        first: another `preexec_fn`, to be called first. It alone is returned where this process is not prepared.
    """
    if not _prepared:
        return first
    _, _, module, *_ = command

    def go_on() -> NoReturn:
        if first is not None:
            first()
        for number in STOP_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        # subprocess does this after its preexec_fn; with the last of them it learns that the child has begun.
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2 and int(name) not in keep:
                with contextlib.suppress(OSError):  # the one that listed them
                    os.close(int(name))
        if environment is not None:
            os.environ.clear()
            os.environ.update(environment)
        sys.argv = list(command[2:])
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        status = _run(module)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.flush()
        os._exit(status)

    sys.stdout.flush()
    sys.stderr.flush()
    return go_on


def _run(module: str) -> int:
    """Runs the module's `main`; the exit status that the interpreter would have ended with."""
    try:
        return int(importlib.import_module(module).main() or 0)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        traceback.print_exc()
        return 128 + signal.SIGINT
    except BaseException:  # what the interpreter does with it
        traceback.print_exc()
        return 1


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing that is written to standard output and error arrives: libraries greet whoever imports them."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    with open(os.devnull, "wb") as nothing:
        for number in (1, 2):
            os.dup2(nothing.fileno(), number)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, file in zip((1, 2), saved, strict=True):
            os.dup2(file, number)
            os.close(file)
