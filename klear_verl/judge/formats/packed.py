# SPDX-License-Identifier: Apache-2.0
"""LiveCodeBench's packed tests: base64(zlib(pickle(text))), read without an unpickler.

A pickle is a program, and even one without globals can ask for any amount of memory. The packed tests are a pickle of
one string, so what is accepted here is exactly that: the opcodes that make one string, and nothing else.
"""

from __future__ import annotations

import base64
import pickletools
import zlib

MAX_UNPACKED_BYTES = 512 << 20

_STRINGS = frozenset({"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
_FRAMING = frozenset({"PROTO", "FRAME", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "STOP"})


def unpack_text(packed: str, max_bytes: int = MAX_UNPACKED_BYTES) -> str:
    """The text in `packed`.

    Raises:
        ValueError: not packed text, or of more than `max_bytes` bytes unpacked.
    """
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(base64.b64decode(packed, validate=True), max_bytes + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(data) > max_bytes:
        raise ValueError(f"more than {max_bytes} bytes when unpacked")
    if not inflater.eof:
        raise ValueError("the compressed data are cut short")
    return unpickle_text(data)


def unpickle_text(data: bytes) -> str:
    """The string of a pickle that is a string.

    Raises:
        ValueError: any other pickle, or no pickle.
    """
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in _STRINGS and not texts:
            texts.append(str(argument))
        elif opcode.name not in _FRAMING:
            raise ValueError(f"a pickle of something other than one string (opcode {opcode.name})")
    if not texts:
        raise ValueError("an empty pickle")
    return texts[0]
