# SPDX-License-Identifier: Apache-2.0
"""Where the answer stands in a text: the last box, else the place that says "answer", else the last value stated."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
_MATH = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])(?<!\d,)[-+−]?(?:\\?\$|£|€|¥)?\s?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))"
    r"(?:\s*/\s*\d+)?(?:[eE][-+]?\d+)?(?:\s*(?:\\?%|％|percent|pct)|°)?"
)
_REASON = re.compile(r",?\s+(?:because|since|as (?:it|we|the|this))\b")
_HEDGED = re.compile(r"^\s*not\b|\b(?:or|either|maybe|perhaps)\b", re.IGNORECASE)
_JOINED = re.compile(
    r"(?:\$[^$]+\$(?:\s*,\s*\$[^$]+\$)*,?\s*(?:and|or)\s*\$[^$]+\$|(?<![\w.])-?\d[\d.,/]*,?\s+or\s+-?\d[\d.,/]*)(?=[\s.!]*$)"
)
"""Formulas or numbers that end the text as one answer: `$x=1$ and $x=2$`, `4 or 5`."""
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
        if _HEDGED.search(sentence) or _JOINED.search(sentence):
            # "4 or 5" is both, and "not 4" is neither of its words.
            return [sentence]
        found.append(sentence)
        formulas, values = _formulas(sentence), _values(sentence)
        # Whichever stands last: "the largest $n$ is 34", "34 = $x$".
        if formulas and (not values or sentence.rfind(formulas[-1]) >= sentence.rfind(values[-1])):
            found.append(formulas[-1])
        elif values:
            found.append(values[-1])
        if letter := _LAST_LETTER.search(sentence):
            found.append(letter.group(1))
        bracketed = re.fullmatch(r".*?(\[[^\[\]]*\])\.?", sentence)
        if bracketed:
            found.append(bracketed.group(1))
        return found
    last = text.splitlines()[-1] if text else ""
    displayed = [match for match in _MATH.finditer(text) if not text[match.end() :].strip(" .")]
    if displayed and "\n" in displayed[-1].group(0):
        return _formulas(displayed[-1].group(0))
    if joined := _JOINED.search(last):
        return [joined.group(0)]
    if formulas := _formulas(last):
        formula = formulas[-1]
        # "$28$ %": what is written right behind a formula belongs to it.
        after = re.search(re.escape(formula) + r"\s*\$+\s*(\\?%|percent|pct|°)", text)
        return [formula + (" " + after.group(1) if after else "")]
    if values := _values(last):
        found.append(values[-1])
        if re.search(r"/\s*\d", last) or "=" in last:
            # "3/4 = 0.75": both are stated.
            found += [
                value
                for value in values[-2:-1]
                if re.search(re.escape(value) + r"\s*=\s*" + re.escape(values[-1]), last)
            ]
    letters = _LAST_LETTER.findall(last)
    if letters and not values:
        found.append(letters[-1])
    if re.fullmatch(r"[^.;]{1,60}", last):
        found.append(last)
    return found


def _formulas(text: str) -> list[str]:
    return [next(group for group in match.groups() if group is not None).strip() for match in _MATH.finditer(text)]


def _values(text: str) -> list[str]:
    return [
        match.group(0).strip()
        for match in _NUMBER.finditer(text)
        if re.search(r"\d", match.group(0)) and not _inside_word(text, match)
    ]


def _inside_word(text: str, match: re.Match[str]) -> bool:
    end = match.end()
    return end < len(text) and bool(re.match(r"[A-Z]", text[end])) and bool(re.search(r"[A-Z]$", text[: match.start()]))
