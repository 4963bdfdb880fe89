# SPDX-License-Identifier: Apache-2.0
"""The program in a response: which fenced block is the solution.

The rule, a line-based reading of CommonMark's fences that forgives what models really write:

1. A fence is three or more backticks or tildes at the start of a line, indented or not, with an optional label. CRLF
   counts as LF.
2. A block ends at a bare fence of the same character, at least as long and indented no deeper than its opening. So an
   indented fence in a docstring belongs to the program, as does a shorter fence or one of the other character.
3. A labelled fence where rule 2 would allow an end means that the block before it was never closed: a new block
   begins there.
4. A block still open at the end of the text counts; a closing fence stuck to the last line of code is cut off.
5. Chosen is the last block labelled Python (`python`, `py`, `python3`, `py3`, any case); without one, the last
   unlabelled block. A block labelled `markdown` or `md` is read for the blocks inside it. Blocks of other languages,
   and empty blocks, are never chosen.

What it does not do: judge whether the program is valid Python. Nothing here raises, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$")
_PYTHON_LABELS = frozenset({"python", "py", "python3", "py3"})
_MARKDOWN_LABELS = frozenset({"markdown", "md"})
_MAX_NESTING = 3


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block: its label in lower case ("" if none) and its text, without the fences and their indentation."""

    label: str
    code: str


def extract_program(text: str) -> str | None:
    """The program in `text` by the rule of the module docstring, or None when there is no block to choose.

    Args:
        text: the answer, that is, what follows `</think>`.
    """
    blocks = [block for block in fenced_blocks(text) if block.code.strip()]
    for labels in (_PYTHON_LABELS, frozenset({""})):
        for block in reversed(blocks):
            if block.label in labels:
                return block.code
    return None


def fenced_blocks(text: str, _depth: int = 0) -> Iterator[CodeBlock]:
    """The fenced blocks of `text` in order, those inside a markdown block included."""
    opening: re.Match[str] | None = None
    body: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        fence = _FENCE.match(line)
        if opening is None:
            opening, body = fence, []
        elif fence is None or not _may_end(opening, fence):
            body.append(line)
        else:
            yield from _block(opening, body, _depth)
            opening, body = (fence if fence["info"].strip() else None), []
    if opening is not None:
        yield from _block(
            opening, [*body[:-1], body[-1].rstrip().removesuffix(opening["mark"])] if body else [], _depth
        )


def _may_end(opening: re.Match[str], fence: re.Match[str]) -> bool:
    same_or_longer = fence["mark"].startswith(opening["mark"])
    return same_or_longer and len(fence["indent"].expandtabs()) <= len(opening["indent"].expandtabs())


def _block(opening: re.Match[str], body: list[str], depth: int) -> Iterator[CodeBlock]:
    words = opening["info"].strip().lower().split()
    # "```{.python}" and "```python:main.py" are how some chat interfaces label a block.
    label = re.split(r"[:,]", words[0].strip("{}."))[0] if words else ""
    indent = opening["indent"]
    code = "\n".join(line.removeprefix(indent) for line in body)
    if label in _MARKDOWN_LABELS and depth < _MAX_NESTING:
        yield from fenced_blocks(code, depth + 1)
    else:
        yield CodeBlock(label=label, code=code)
