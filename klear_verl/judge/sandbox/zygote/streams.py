# SPDX-License-Identifier: Apache-2.0
"""Python's own standard streams, opened anew: those of the zygote are bound to what the zygote was started with."""

from __future__ import annotations

import sys


def open_standard_streams() -> None:
    """Binds sys.stdin, stdout and stderr (and their dunder twins) to descriptors 0, 1 and 2, in UTF-8."""
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        stream.buffer.raw.name = f"<{name}>"
        setattr(sys, f"__{name}__", stream)
