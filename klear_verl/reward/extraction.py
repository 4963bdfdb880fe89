# SPDX-License-Identifier: Apache-2.0
"""The program in a response: which fenced block is the solution.

The rule, a line-based reading of CommonMark's fences that forgives what models really write:

1. A fence is three or more backticks or tildes at the start of a line, indented or after a list marker, with an
   optional label. CRLF, and CR alone, count as LF. Backticks with a Python label that end a line of text open a block
   too.
2. A block ends at a bare fence of the same character, at least as long and indented no deeper than its opening. So an
   indented fence in a docstring belongs to the program, as does a shorter fence or one of the other character. White
   space up to the width of the opening's indentation is taken off each line.
3. A labelled fence where rule 2 would allow an end means that the block before it was never closed: a new block
   begins there.
4. A block that is never closed, by rule 3 or the end of the text, counts. It ends at its first bare fence that is
   indented too deeply by less than four columns, or else at the last closing fence stuck to a line of code, or else
   where the next block begins.
5. Chosen is the last block labelled Python (`python`, `py` or `pypy`, with or without a version, any case); without
   one, the last unlabelled block. Blocks inside a block labelled `markdown` or `md` count, and those inside an
   unlabelled one that runs to the end of the text. Blocks of other languages, and empty blocks, are never chosen.

What it does not do: judge whether the program is valid Python. Nothing here raises, whatever the text, and the time is
linear in its length.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Possessive quantifiers: without them a line of a megabyte of backticks or blanks takes hours.
_FENCE = re.compile(r"(?P<indent>[ \t]*+)(?P<mark>`{3,}+|~{3,}+)(?P<info>[^`]*+)")
_LIST_MARKER = re.compile(r"[ \t]*+(?:[-*+]|[0-9]{1,9}[.)])[ \t]++(?=```|~~~)")
_AFTER_TEXT = re.compile(r"(?<!`)(?P<mark>`{3,}+)[ \t]*+(?P<info>[A-Za-z][\w.]{0,20})[ \t]*+\Z")
_PYTHON_LABEL = re.compile(r"(?:python|py|pypy)[\d.]*")
_MARKDOWN_LABELS = frozenset({"markdown", "md"})
_MAX_NESTING = 3
_CODE_INDENT = 4
"""CommonMark: what is indented by four columns more is no fence."""


class CodeBlock(NamedTuple):
    """A fenced block: its label in lower case ("" if none) and its text, without the fences and their indentation."""

    label: str
    code: str


class _Fence(NamedTuple):
    """A line with a fence. `width` is the indentation in columns."""

    mark: str
    width: int
    info: str

    def may_end(self, opening: _Fence) -> bool:
        return self.width <= opening.width and self.mark.startswith(opening.mark)


def extract_program(text: str) -> str | None:
    """The program in `text` by the rule of the module docstring, or None when there is no block to choose.

    Args:
        text: the answer, that is, what follows `</think>`.
    """
    unlabelled = python = None
    for block in fenced_blocks(text):
        if not block.code.strip():
            continue
        if _PYTHON_LABEL.fullmatch(block.label):
            python = block.code
        elif not block.label:
            unlabelled = block.code
    return unlabelled if python is None else python


def fenced_blocks(text: str, _depth: int = 0) -> list[CodeBlock]:
    """The fenced blocks of `text` in order, each before those inside it."""
    blocks: list[CodeBlock] = []
    opening: _Fence | None = None
    body: list[str] = []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        fence = None
        if "```" in line or "~~~" in line:
            fence = _opening(line) if opening is None else _fence(line)
        if opening is None:
            opening, body = fence, []
        elif fence is None or not fence.may_end(opening):
            body.append(line)
        else:
            lines = _cut_unclosed(opening, body) if fence.info else body
            blocks += _with_inner(opening, lines, _depth, _MARKDOWN_LABELS)
            opening, body = (fence if fence.info else None), []
    if opening is not None:
        blocks += _with_inner(opening, _cut_unclosed(opening, body), _depth, _MARKDOWN_LABELS | {""})
    return blocks


def _fence(line: str) -> _Fence | None:
    match = _FENCE.fullmatch(line)
    if match is None:
        return None
    indent, mark, info = match.groups()
    return _Fence(mark, len(indent.expandtabs()), info.strip().lower())


def _opening(line: str) -> _Fence | None:
    marker = _LIST_MARKER.match(line)
    fence = _fence(" " * len(marker[0].expandtabs()) + line[marker.end() :] if marker else line)
    if fence is not None:
        return fence
    match = _AFTER_TEXT.search(line)
    if match is None or not _PYTHON_LABEL.fullmatch(match["info"].lower()):
        return None
    return _Fence(match["mark"], 0, match["info"].lower())


def _cut_unclosed(opening: _Fence, body: list[str]) -> list[str]:
    stuck = None
    for number, line in enumerate(body):
        if opening.mark not in line:
            continue
        fence = _fence(line)
        if fence is None or fence.info:
            stuck = number if line.rstrip().endswith(opening.mark) else stuck
        elif fence.mark.startswith(opening.mark) and fence.width < opening.width + _CODE_INDENT:
            return body[:number]
    if stuck is None:
        return body
    return [*body[:stuck], body[stuck].rstrip().rstrip(opening.mark[0])]


def _with_inner(opening: _Fence, lines: list[str], depth: int, labels: frozenset[str]) -> list[CodeBlock]:
    """The block of these lines, and if it has one of `labels` those inside it."""
    words = opening.info.split()
    # "```{.python}" and "```python:main.py" are how some chat interfaces label a block.
    label = re.split(r"[:,]", words[0].strip("{}."))[0] if words else ""
    block = CodeBlock(label, "\n".join(_without_indent(line, opening.width) for line in lines))
    inner = fenced_blocks(block.code, depth + 1) if label in labels and lines and depth < _MAX_NESTING else []
    return [block, *inner]


def _without_indent(line: str, width: int) -> str:
    start = columns = 0
    while columns < width and line[start : start + 1] in (" ", "\t"):
        columns += 8 - columns % 8 if line[start] == "\t" else 1
        start += 1
    return line[start:]
