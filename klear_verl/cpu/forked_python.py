# SPDX-License-Identifier: Apache-2.0
"""Stands in for the Python interpreter where a run starts one more process: the process is forked by the run's
`fork_server`, which has imported verl, torch and vLLM already, instead of importing them again.

Run by path with `python -I -S`, as SERVER REAL ARGUMENTS…: the server's name, the real interpreter, and what that would
be given. It hands arguments, environment, folder and open files over and stays as long as the process lives: it passes
signals on, its own end ends the process, and its exit status is the process's. Without a server, or with options other
than those of Ray's workers and of multiprocessing, it becomes the real interpreter. Imports next to nothing.
"""

import json
import os
import signal
import socket
import struct
import sys

MOST_FILES = 250
"""Linux passes 253 descriptors at a time."""
FLAGS = ("-u", "-B", "-s")
"""Options of the interpreter that change nothing for a process that is forked."""


def main() -> None:
    server, real, *arguments = sys.argv[1:]
    while arguments and arguments[0] in FLAGS:
        arguments.pop(0)
    files = _open_files()
    plain = bool(arguments) and (arguments[0] == "-c" or not arguments[0].startswith("-"))
    connection = _connect(server) if plain and len(files) <= MOST_FILES else None
    if connection is None:
        os.execv(real, [real, *sys.argv[3:]])
    request = {
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "files": files,
    }
    body = json.dumps(request).encode()
    # A whole request is one message, whose files come with its first byte.
    socket.send_fds(connection, [struct.pack("<I", len(body))], files)
    connection.sendall(body)
    nothing = os.open(os.devnull, os.O_RDWR)
    for file in files:  # a pipe is at its end only when we have closed it too
        os.dup2(nothing, file) if file <= 2 else os.close(file)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: connection.send(bytes([number])))
    answer = connection.recv(4, socket.MSG_WAITALL)
    status = struct.unpack("<i", answer)[0] if len(answer) == 4 else 1
    if status < 0:
        if -status in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the ones that are passed on above
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def _open_files() -> list[int]:
    """This process's descriptors, without the one that lists them."""
    with os.scandir("/proc/self/fd") as entries:
        listed = [int(entry.name) for entry in entries]
    return [number for number in sorted(listed) if _is_open(number)]


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _connect(name: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"\0{name}")
    except OSError:  # the run is over: the real interpreter then says what is to be said
        return None
    return connection


if __name__ == "__main__":
    main()
