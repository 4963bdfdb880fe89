# SPDX-License-Identifier: Apache-2.0
"""Where the answer stands in a text: the last box, else the place that says "answer", else the last value stated."""

from __future__ import annotations

import re
from dataclasses import dataclass

from klear_verl.reward.math.passages import MATH, formulas, stated

MAX_STATED = 2000
"""Without a box the answer is looked for in the last characters only."""

_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*")
MAX_NESTED = 8
MAX_BETWEEN = 60
"""Characters between boxes that are one list."""

_BETWEEN = re.compile(r"[\s$,;.&]*(?:\\[()\[\],; ]|\\quad|\\qquad|\\text\{\s*(?:and|or)\s*\}|and|or|[,;&$\s])*[\s$]*")
_ANCHORS = re.compile(
    r"(?:(?:final\s+)?answers?|ans|results?|solutions?)\s*(?:is|are|:|=|\*\*\s*:|:\s*\*\*|\bto be\b)+\**\s*:?|####|"
    r"答案(?:是|为|：|:)|réponse\s*:|respuesta\s*:",
    re.IGNORECASE,
)
_REASON = re.compile(r",?\s+(?:because|since|as (?:it|we|the|this))\b")
_HEDGED = re.compile(r"^\s*not\b|\b(?:or|either|maybe|perhaps)\b", re.IGNORECASE)
_LAST_LETTER = re.compile(r"(?<![A-Za-z])\(?([A-J])\)?(?![A-Za-z'])")


@dataclass(frozen=True)
class Found:
    """Candidate answers, best first; any of them being right makes the answer right only where `boxes` is 0.

    With boxes, `texts` has one entry; it holds several boxes joined by commas where they stand together at the end of
    the text as one answer.
    """

    texts: tuple[str, ...]
    boxes: int = 0


def boxes(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of every balanced box; the innermost of nested ones."""
    found = []
    place = 0
    while (match := _BOX.search(text, place)) is not None:
        start, place = match.start(), match.end()
        if place < len(text) and text[place] == "{":
            end = _closing(text, place)
            if end is None:
                found.append((start, len(text), ""))
                break
            content = text[place + 1 : end]
            for _ in range(MAX_NESTED):
                inner = re.fullmatch(r"\s*\\(?:boxed|fbox)\s*(\{.*\})\s*", content, re.DOTALL)
                if inner is None or _closing(inner.group(1), 0) != len(inner.group(1)) - 1:
                    break
                content = inner.group(1)[1:-1]
            found.append((start, end + 1, content))
            place = end + 1
        else:
            token = re.match(r"[^\s$.,;]+", text[place:])
            content = token.group(0) if token else ""
            found.append((start, place + len(content), content))
            place += len(content)
    return found


def _closing(text: str, opening: int) -> int | None:
    depth = 0
    index = opening
    while index < len(text):
        character = text[index]
        if character == "\\":
            index += 2
            continue
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    return None


def find_answer(text: str) -> Found:
    """The answer in what follows the reasoning (rule 1 of docs/concepts/math_judge.md)."""
    found = boxes(text)
    if found:
        last = [found[-1]]
        for earlier in reversed(found[:-1]):
            between = text[earlier[1] : last[0][0]]
            if len(between) > MAX_BETWEEN or not _BETWEEN.fullmatch(between) or "\n\n" in between.strip(" $"):
                break
            last.insert(0, earlier)
        contents = [content.strip() for _, _, content in last]
        if len(contents) > 1 and len(set(contents)) > 1:
            return Found((", ".join(contents),), len(contents))
        return Found((contents[-1],), 1)
    closing = text.rfind("</answer>")
    opening = text.rfind("<answer>", 0, max(closing, 0))
    if opening >= 0:
        return Found((text[opening + len("<answer>") : closing].strip(),))
    return Found(tuple(_stated(text)))


def _stated(text: str) -> list[str]:
    """Without a box: what stands after the last "answer", whole, as formula and as value; else the last value."""
    text = text.strip()[-MAX_STATED:]
    found: list[str] = []
    anchors = list(_ANCHORS.finditer(text))
    if anchors:
        rest = text[anchors[-1].end() :].strip()
        sentence = re.split(r"\n\s*\n|(?<=[^\d\s])\.\s|\.\s*$|\n", rest.strip("* \n"), maxsplit=1)[0].strip("* \n")
        sentence = _REASON.split(sentence, maxsplit=1)[0]
        if _HEDGED.search(sentence):
            # "4 or 5" is both, and "not 4" is neither of its words.
            return [sentence]
        found.append(sentence)
        run, bounded = stated(sentence, first=True)
        if bounded:
            return found
        if run:
            found.append(run)
        if letter := _LAST_LETTER.search(sentence):
            found.append(letter.group(1))
        return found
    last = text.splitlines()[-1] if text else ""
    displayed = [match for match in MATH.finditer(text) if not text[match.end() :].strip(" .")]
    if displayed and "\n" in displayed[-1].group(0):
        return formulas(displayed[-1].group(0))
    run, bounded = stated(last, first=False)
    if run and not bounded:
        found.append(run)
    letters = _LAST_LETTER.findall(last)
    if letters and not re.search(r"\d", run):
        found.append(letters[-1])
    if re.fullmatch(r"[^.;]{1,60}", last):
        found.append(last)
    return found
