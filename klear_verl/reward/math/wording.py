# SPDX-License-Identifier: Apache-2.0
"""Answers in words: which texts say the same, and which are lists of choice letters."""

from __future__ import annotations

import re

from klear_verl.reward.math.answers import Answer, Choice, Text
from klear_verl.reward.math.notation import characters, words

_LETTERS = re.compile(r"[A-J](?:[\s,;&]{0,4}(?:and)?[\s,;&]{0,4}[A-J]){1,9}")
_SETS = {
    "z": "Z",
    "allintegers": "Z",
    "integers": "Z",
    "setofintegers": "Z",
    "setofallintegers": "Z",
    "n": "N",
    "allnaturalnumbers": "N",
    "naturalnumbers": "N",
    "q": "Q",
    "allrationalnumbers": "Q",
    "rationalnumbers": "Q",
}
_FILLERS = frozenset({"is", "are", "the", "an", "be", "must", "there"})


def same_word(one: str, two: str) -> bool:
    """Whether two plain words differ in their capital only: Yes and yes, but not the products AB and ab."""
    plain = [re.sub(r"\\text\{([^{}]*)\}", r"\1", text).strip(" .") for text in (one, two)]
    if not all(re.fullmatch("[A-Za-z]{2,}", word) for word in plain) or plain[0].lower() != plain[1].lower():
        return False
    capitals = [word[0].isupper() and (word[1:].islower() or word.isupper()) for word in plain]
    # Letters in alphabetical order are a product, or points of a figure.
    vowel = bool(re.search("[aeiouy]", plain[0].lower())) and list(plain[0].lower()) != sorted(plain[0].lower())
    return plain[0] == plain[1] or (vowel and any(capitals) and (len(plain[0]) > 2 or plain[0].lower() == "no"))


def same_letters(one: str, two: str) -> bool:
    """Whether both are several letters of a multiple choice, the same ones: ACD, `A, C, D`, `A, C and D`."""
    chosen = []
    for text in (one, two):
        plain = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text).strip(" .()")
        if not _LETTERS.fullmatch(plain):
            return False
        chosen.append(re.findall("[A-J]", plain))
    return sorted(chosen[0]) == sorted(chosen[1]) and all(len(set(letters)) == len(letters) for letters in chosen)


def same_text(one: Answer, two: Answer) -> bool:
    """Whether two answers are the same words."""
    formula = any(re.search(r"\\(?!text)[a-zA-Z]", answer.text) for answer in (one, two))
    left, right = (_braced(answer.text) if formula else words(answer.text) for answer in (one, two))
    if not left or not right:
        return False
    sets = [_SETS.get(words(re.sub(r"\\mathbb\s*", "", answer.text))) for answer in (one, two)]
    if sets[0] and sets[0] == sets[1]:
        return True
    if left == right:
        return bool(re.search(r"[a-z\u0080-\uffff]{2}", left)) or (isinstance(one, Text) and isinstance(two, Text))
    if isinstance(one, Choice) and one.option:
        return words(one.option) == right
    if formula:
        return False
    # "even n" and "n is even", "no solution" and "no solutions": the same words, wherever the variable stands.
    pieces = [_pieces(answer.text) for answer in (one, two)]
    meaningful = [re.sub(r"[A-Za-z0-9\s{}$\\.,]", "", answer.text) for answer in (one, two)]
    return pieces[0] == pieces[1] and not any(meaningful) and any(len(piece) > 2 for piece in pieces[0][0])


def _braced(text: str) -> str:
    """As `words`, but with the braces, which tell 1/72 from 1/7 · 2."""
    return characters(text).casefold()


def _pieces(text: str) -> tuple[list[str], list[str]]:
    """(words, single characters), each in their order."""
    plain = re.sub(r"\\text|[{}$\\]", " ", text.casefold())
    found = [piece for piece in re.findall(r"[a-z]+|\d+", plain) if piece not in _FILLERS - {plain.strip()}]
    singular = [piece[:-1] if len(piece) > 4 and piece.endswith("s") else piece for piece in found]
    return [piece for piece in singular if len(piece) > 1], [piece for piece in singular if len(piece) == 1]
