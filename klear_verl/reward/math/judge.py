# SPDX-License-Identifier: Apache-2.0
"""Whether a response's answer is the reference: extraction, reading and comparison in one place."""

from __future__ import annotations

import re
from functools import lru_cache

from klear_verl.reward.math.answers import Bracket, Choice, Sequence, Text
from klear_verl.reward.math.comparison import same
from klear_verl.reward.math.extraction import boxes, find_answer
from klear_verl.reward.math.notation import MAX_CHARS
from klear_verl.reward.math.reading import read


@lru_cache(maxsize=4096)
def reference_text(reference: str) -> str:
    """The reference without what data sets put around it: a worked solution with a box, `####`, dollar signs."""
    text = reference.strip()
    found = boxes(text)
    if found and found[-1][2].strip():
        return found[-1][2].strip()
    if "####" in text:
        text = text.rsplit("####", 1)[1]
    return text.strip()


@lru_cache(maxsize=4096)
def reference_fault(reference: str) -> str:
    """Why nothing can be compared with the reference; "" if something can.

    Words are compared as words, so almost any text can be a reference; broken LaTeX and mere punctuation cannot.
    """
    text = reference_text(reference)
    if len(text) > MAX_CHARS:
        return f"it has more than {MAX_CHARS} characters"
    answer = read(text)
    if not re.search(r"\w|\\(?:infty|emptyset|varnothing|pi)|[∅∞]", answer.text):
        return "there is no number, formula or word in it"
    unescaped = re.sub(r"\\[{}]", "", text)
    if unescaped.count("{") != unescaped.count("}"):
        return "its braces do not match"
    if isinstance(answer, Text) and re.search(r"\\(?:frac|sqrt|boxed|text)\s*$", answer.text):
        return "it ends in the middle of a formula"
    return ""


def grade(reference: str, text: str) -> tuple[bool, str]:
    """(whether the answer in `text` is right, the answer that was found)."""
    wanted = reference_text(reference)
    found = find_answer(text)
    if not found.texts:
        return False, ""
    if len(wanted) > MAX_CHARS or any(len(candidate) > MAX_CHARS for candidate in found.texts):
        return _squeezed(wanted) in {_squeezed(candidate) for candidate in found.texts}, found.texts[0][:200]
    if found.boxes > 1:
        # Several boxes are one answer where the reference is a list, and a hedge where it is not.
        kind = read(wanted)
        several = isinstance(kind, (Sequence, Bracket)) or "\\pm" in wanted
        return several and same(wanted, found.texts[0]), found.texts[0]
    if found.boxes == 1:
        return same(wanted, found.texts[0]), found.texts[0]
    kind = read(wanted)
    candidates = (
        found.texts
        if isinstance(kind, (Choice, Text))
        else [text for text in found.texts if not isinstance(read(text), Choice)]
    )
    return any(same(wanted, candidate) for candidate in candidates), found.texts[0]


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)
