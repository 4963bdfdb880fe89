# SPDX-License-Identifier: Apache-2.0
"""Seeds that are the same in every process and on every machine (unlike `hash`)."""

from __future__ import annotations

import hashlib


def stable_seed(*parts: object) -> int:
    """A 64-bit number from the texts of `parts`."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
