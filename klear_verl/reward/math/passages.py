# SPDX-License-Identifier: Apache-2.0
"""Formulas and values in a sentence: the runs of notation between its words. A run is read whole, never by a part."""

from __future__ import annotations

import re
import unicodedata

from klear_verl.reward.math.tokens import FUNCTIONS, GREEK

MATH = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_PROSE = re.compile(r"(?<![\\a-zA-Z{])[a-z]{3,}\s")
_TOKEN = re.compile(r"\x00\d+\x00[^\s\x00]*|[^\s\x00]+")
_KNOWN = FUNCTIONS | GREEK | {"pi", "infinity"}
_BEHIND = frozenset({"pct", "percent", "degrees", "degree", "cents"})
_BETWEEN = frozenset({"and", "or"})
_BOUNDS = frozenset({"not", "than", "least", "most", "over", "under", "between", "exceeding", "below", "above"})
_SIGNIFICANT = re.compile(r"\d|\\[a-zA-Z]|[π∞√∅½]|[=<>^]")


def formulas(text: str) -> list[str]:
    """What stands between dollar signs and the like."""
    return [next(group for group in match.groups() if group is not None).strip() for match in MATH.finditer(text)]


def stated(text: str, first: bool) -> tuple[str, bool]:
    """(the run of notation that a sentence states, whether the sentence says more about it than that).

    Args:
        text: one sentence or line.
        first: the run that the sentence begins with is meant, if it begins with one; otherwise the last.
    """
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        if _PROSE.search(match.group(0)):
            return match.group(0)
        kept.append(match.group(0))
        return f" \x00{len(kept) - 1}\x00"

    spaced = "".join(_apart(character) for character in MATH.sub(keep, text.replace("\x00", " ")))
    runs: list[list[str]] = [[]]
    before: list[str] = [""]
    begins = False
    for place, token in enumerate(_TOKEN.findall(spaced)):
        bare = re.sub(r"^[*_]+|[*_]+(?=[.,;:!?]*$)", "", token)
        if _is_notation(bare):
            runs[-1].append(bare)
            begins = begins or place == 0
        elif runs[-1] and bare.lower().strip(".,") in _BEHIND | _BETWEEN:
            runs[-1].append(bare)
        else:
            if runs[-1]:
                runs.append([])
                before.append("")
            before[-1] = bare.lower()
    found = []
    for run, word in zip(runs, before, strict=True):
        while run and run[-1].lower() in _BETWEEN:
            run.pop()
        whole = re.sub("\x00(\\d+)\x00", lambda match: kept[int(match[1])], " ".join(run)).strip(" .,;:!?")
        if re.search(r"\w|[∞∅√]", whole):
            found.append((whole, word in _BOUNDS))
    if not found:
        return "", False
    if first and begins:
        return found[0]
    return next((run for run in reversed(found) if _SIGNIFICANT.search(run[0])), found[-1])


def _apart(character: str) -> str:
    """A letter of a script that formulas are not written in, as a word of its own."""
    code = ord(character)
    foreign = code > 0x24F and not 0x370 <= code <= 0x3FF and not 0x2000 <= code <= 0x2BFF and code < 0xFF00
    return " word " if foreign and unicodedata.decimal(character, None) is None else character


def _is_notation(token: str) -> bool:
    plain = re.sub(r"\x00\d+\x00|\\[a-zA-Z]+|\{[^{}]*\}", " ", token)
    if plain.strip(".,;:") in ("a", "I"):
        return False
    letters = re.findall(r"[A-Za-z]{2,}|[À-ÖØ-öø-ɏ]", plain)
    return all(word in _KNOWN or re.fullmatch("[eE]", word) for word in letters)
