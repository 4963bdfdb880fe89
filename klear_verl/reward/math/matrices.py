# SPDX-License-Identifier: Apache-2.0
"""What stands around a matrix: a factor, a transposition, bars that make it a determinant."""

from __future__ import annotations

import re
from dataclasses import replace

from klear_verl.reward.math.answers import Answer, Matrix, Scalar
from klear_verl.reward.math.syntax import Tree

MAX_DETERMINANT = 4
_AROUND = re.compile(
    r"(?P<factor>[^&]{1,60}?)??\s*(?:\\cdot|\\times)?\s*(?P<matrix>\\begin\{[pbB]?matrix\}.*\\end\{[pbB]?matrix\})\s*"
    r"(?P<transposed>\^\s*\{?\s*(?:T|\\top|\\text\{\s*T\s*\})\s*\}?)?",
    re.DOTALL,
)


def parts_around(text: str) -> tuple[str, str, bool] | None:
    """(factor, matrix, whether transposed); None if nothing stands around one."""
    match = _AROUND.fullmatch(text)
    if match is None or match["matrix"].count("\\begin") != 1:
        return None
    factor = (match["factor"] or "").strip()
    transposed = match["transposed"] is not None
    return (factor, match["matrix"], transposed) if factor or transposed else None


def scaled(matrix: Matrix, factor: Tree) -> Matrix | None:
    """Every entry times the factor."""
    rows = []
    for row in matrix.rows:
        if not all(isinstance(entry, Scalar) for entry in row):
            return None
        rows.append(tuple(_times(entry, factor) for entry in row))
    return replace(matrix, text="", rows=tuple(rows))


def _times(entry: Answer, factor: Tree) -> Answer:
    assert isinstance(entry, Scalar)
    return replace(entry, text="", tree=("mul", [factor, entry.tree]), other=None)


def transposed(matrix: Matrix) -> Matrix | None:
    """Rows for columns."""
    if len({len(row) for row in matrix.rows}) != 1:
        return None
    return replace(matrix, text="", rows=tuple(zip(*matrix.rows, strict=True)))


def determinant(matrix: Matrix) -> Tree | None:
    """The determinant of a small square matrix of expressions."""
    size = len(matrix.rows)
    entries = [[entry.tree for entry in row if isinstance(entry, Scalar)] for row in matrix.rows]
    if not 1 <= size <= MAX_DETERMINANT or any(len(row) != size for row in entries):
        return None
    return _expanded(entries)


def _expanded(rows: list[list[Tree]]) -> Tree:
    if len(rows) == 1:
        return rows[0][0]
    terms: list[Tree] = []
    for place, entry in enumerate(rows[0]):
        minor = _expanded([row[:place] + row[place + 1 :] for row in rows[1:]])
        term: Tree = ("mul", [entry, minor])
        terms.append(term if place % 2 == 0 else ("neg", term))
    return ("add", terms)
