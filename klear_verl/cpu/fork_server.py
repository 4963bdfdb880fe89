# SPDX-License-Identifier: Apache-2.0
"""Forks the processes of a run from one that has imported everything: on two cores a dozen processes that each import
verl, torch and vLLM take longer than the training of a small model.

The driver imports once and calls `start`, which forks the server off; Ray (`runtime_env.py_executable`) and
multiprocessing (`set_executable`) then start their processes through `forked_python`, which asks the server. Only for
runs on the CPU that start a Ray of their own: an accelerator's libraries don't survive a fork, and other machines know
nothing of this server.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import multiprocessing
import os
import selectors
import shlex
import signal
import socket
import struct
import sys
import types
import uuid
from pathlib import Path
from typing import Any

from klear_verl.cpu import forked_python, vllm_plugin
from klear_verl.utils.signals import STOP_SIGNALS

IMPORTED = (
    "torch.distributed.fsdp",
    "transformers.models.qwen3.modeling_qwen3",
    "tensordict",
    "datasets",
    "peft",
    "torchdata.stateful_dataloader",
    "accelerate",
    "vllm.sampling_params",
    "vllm.model_executor.models.qwen3",
    "vllm.v1.core.sched.scheduler",
    "vllm.v1.worker.cpu_worker",
    "vllm.entrypoints.openai.api_server",
)
"""Nine tenths of what a process of a run imports. Not Ray, and so neither verl nor the rest of vLLM: Ray's library
reads the environment of its process, with the job's id and the raylet's, when it is loaded."""


def load() -> None:
    """Imports what the forked processes are to have."""
    vllm_plugin.install_distribution()
    for module in IMPORTED:
        importlib.import_module(module)


def start(program: Path) -> None:
    """Forks the server, which ends with this process.

    Call it outside every `try` and `with`, before there are threads, hence before Ray: each process of the run goes on
    from this very call, and leaves it with the SystemExit, or the error, that ends it.

    Args:
        program: where to write the program that stands in for the interpreter.
    """
    name = f"klear-{uuid.uuid4().hex}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"\0{name}")  # an abstract address: no file to leave behind, and no limit on its folder's length
    listener.listen(64)
    command = [sys.executable, "-I", "-S", forked_python.__file__, name, sys.executable]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    lifeline, ours = os.pipe()  # nobody writes: it is at its end once `ours`, and so this process, is gone
    gc.collect()
    gc.freeze()  # a collection in a child would write to every page, and so copy it
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        listener.close()
        os.close(lifeline)
        return
    os.close(ours)
    request = _Server(listener, lifeline).next_process()
    multiprocessing.set_executable(str(program))
    _run(request["arguments"])
    sys.exit(0)


class _Server:
    """Forks a process for each client and tells the client how it ended. A client that is gone takes its process
    along."""

    def __init__(self, listener: socket.socket, lifeline: int):
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # it ends with the driver, which ends when asked
        self._lifeline = lifeline
        self._selector = selectors.DefaultSelector()
        self._selector.register(lifeline, selectors.EVENT_READ, self._end)
        self._selector.register(listener, selectors.EVENT_READ, lambda: listener.accept()[0])

    def next_process(self) -> dict[str, Any]:
        """Serves; returns in each forked process, with its client's request carried out but for the arguments."""
        while True:
            for key, _ in self._selector.select():
                connection = key.data()
                if connection is None or (request := _receive(connection)) is None:
                    continue
                if pid := os.fork():
                    self._look_after(pid, request, connection)
                    continue
                connection.close()
                self._close()
                _become(request)
                return request

    def _end(self) -> None:
        os._exit(0)

    def _look_after(self, pid: int, request: dict[str, Any], connection: socket.socket) -> None:
        for file in request["received"]:
            os.close(file)
        process = os.pidfd_open(pid)

        def hear_client() -> None:
            signals = connection.recv(16)
            for number in signals or [signal.SIGKILL]:
                os.kill(pid, number)  # it was not waited for yet, so the id is still its own
            if not signals:
                self._selector.unregister(connection)

        def tell_client() -> None:
            _, status = os.waitpid(pid, 0)
            self._selector.unregister(process)
            os.close(process)
            if connection in self._selector.get_map():
                self._selector.unregister(connection)
                with contextlib.suppress(BrokenPipeError):  # it was killed in this moment
                    connection.send(struct.pack("<i", os.waitstatus_to_exitcode(status)))
            connection.close()

        self._selector.register(connection, selectors.EVENT_READ, hear_client)
        self._selector.register(process, selectors.EVENT_READ, tell_client)

    def _close(self) -> None:
        """In a forked process: lets go of every socket as an object, so that none is closed later by its number."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close() if isinstance(key.fileobj, socket.socket) else os.close(key.fd)
        self._selector.close()


def _receive(connection: socket.socket) -> dict[str, Any] | None:
    """The client's request; None from another user, to whom an abstract address is open too, and from a client that was
    killed in the middle."""
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if user != os.geteuid():
        connection.close()
        return None
    try:
        head, files, _, _ = socket.recv_fds(connection, 4, forked_python.MOST_FILES)
        size = struct.unpack("<I", head)[0]
        request: dict[str, Any] = json.loads(connection.recv(size, socket.MSG_WAITALL))
    except (OSError, struct.error, ValueError):
        connection.close()
        return None
    return request | {"received": files}


def _become(request: dict[str, Any]) -> None:
    """Makes this fork what the client was: its environment, folder and files, and no other file."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    first_free = max(request["files"]) + 1
    # Out of the way of the numbers that they are to have, then into place.
    aside = [fcntl.fcntl(file, fcntl.F_DUPFD, first_free) for file in request["received"]]
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in aside:
            with contextlib.suppress(OSError):  # the list's own, closed already
                os.close(int(name))
    for file, wanted in zip(aside, request["files"], strict=True):
        os.dup2(file, wanted)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])


def _run(arguments: list[str]) -> None:
    """Runs a script or `-c CODE` as the interpreter does."""
    if arguments[0] == "-c":
        source, name = arguments[1], "<string>"
        sys.argv, sys.path[0] = ["-c", *arguments[2:]], ""
    else:
        name = arguments[0]
        source = Path(name).read_text(encoding="utf-8")
        sys.argv, sys.path[0] = arguments, os.path.dirname(os.path.realpath(name))
    module = types.ModuleType("__main__")
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    if arguments[0] != "-c":
        module.__file__ = name
    sys.modules["__main__"] = module
    exec(compile(source, name, "exec"), module.__dict__)
