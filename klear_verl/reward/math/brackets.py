# SPDX-License-Identifier: Apache-2.0
"""Brackets in the text of an answer: which closes which, and splitting outside all of them."""

from __future__ import annotations

import re

OPENING, CLOSING = "([{", ")]}"


def matching(text: str, opening: int) -> int | None:
    """Where the bracket that opens at a place is closed."""
    depth = 0
    for index in range(opening, len(text)):
        if text[index] in OPENING:
            depth += 1
        elif text[index] in CLOSING:
            depth -= 1
            if depth == 0:
                return index
    return None


def depths_of(text: str) -> list[int]:
    """For each character how many brackets it stands in."""
    depths, depth = [], 0
    for character in text:
        if character in CLOSING:
            depth -= 1
        depths.append(depth)
        if character in OPENING:
            depth += 1
    return depths


def split_top(text: str, pattern: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """(parts, separators) of the text split where `pattern` stands outside all brackets."""
    depths = depths_of(text)
    parts, separators, start = [], [], 0
    for match in pattern.finditer(text):
        if depths[match.start()] == 0 and match.start() >= start:
            parts.append(text[start : match.start()])
            separators.append(match.group(0))
            start = match.end()
    return [*parts, text[start:]], separators
