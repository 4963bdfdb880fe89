# SPDX-License-Identifier: Apache-2.0
"""Checks many rows at once, in their order: most of the time of a slow check passes in a process of its own, such as
the grader that reads a math reference, and threads are enough to keep several of those busy."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

_CHUNK_ROWS = 32
_CHUNKS_AHEAD = 4


def map_in_order(check: Callable[[In], Out], rows: Iterable[In], workers: int) -> Iterator[Out]:
    """`check` of each row, in the order of the rows, which are read only a few hundred ahead.

    Raises:
        What `check` raises for the first of the rows for which it raises anything.
    """
    waiting: deque[Future[list[Out]]] = deque()
    stopped = threading.Event()

    def check_chunk(chunk: list[In]) -> list[Out]:
        return [check(row) for row in chunk if not stopped.is_set()]

    source = iter(rows)
    with ThreadPoolExecutor(workers, thread_name_prefix="klear-rows") as threads:
        try:
            while chunk := list(islice(source, _CHUNK_ROWS)):
                waiting.append(threads.submit(check_chunk, chunk))
                if len(waiting) > _CHUNKS_AHEAD * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:  # an error, Ctrl-C, or a caller that wants no more: nothing new is begun
            stopped.set()
            for future in waiting:
                future.cancel()
