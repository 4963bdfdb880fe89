# SPDX-License-Identifier: Apache-2.0
"""Tables of a run, as Markdown: readable in a terminal, and what the documentation embeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .endless import EndlessRow
from .plan import ENTRANTS, JUDGES, PRINCIPAL, Plan
from .rounds import Results
from .targets import Target


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with aligned columns: the first to the left, the others to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, rule)
    return "\n".join("| " + " | ".join(_cells(line, widths)) + " |" for line in lines)


def _cells(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(line, widths, strict=True)
    return [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]


def machine_line(machine: dict[str, Any]) -> str:
    """One sentence on where the figures come from."""
    user = "root" if machine["root"] else "an ordinary user"
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, Python "
        f"{machine['python']}, {user}; load {machine['load_1min']} at the start, "
        f"{machine.get('stolen_share', 0.0):.1%} of the time stolen by the hypervisor."
    )


def number(value: float | None, unit: str = "") -> str:
    """Three significant digits; a dash where there is nothing."""
    if value is None:
        return "–"
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text + unit


def factor(value: float | None) -> str:
    """A ratio; far below one, as a fraction."""
    return f"1/{1 / value:.0f}" if value is not None and value < 0.1 else number(value)


def times(plan: Plan, results: Results) -> str:
    """Milliseconds of one core per test."""
    columns = [(name, 1) for name in PRINCIPAL]
    rows = []
    for cell in plan.cells:
        row = [cell.name]
        for entry in columns:
            mark = "*" if results.misjudged(cell, entry) else ""
            row.append(number(results.ms(cell, entry)) + mark)
        rows.append(row)
    return table(["ms per test, one core", *(ENTRANTS[name].label for name, _ in columns)], rows)


def rates(plan: Plan, results: Results) -> str:
    """Tests per second and core, for all cores at once where that was measured."""
    rows = []
    for cell in plan.cells:
        for entry in cell.entries:
            milliseconds = results.ms(cell, entry)
            if milliseconds and entry[0].startswith("ours"):
                figures = number(1e3 / milliseconds), number(results.own_ms(cell, entry))
                rows.append([cell.name, ENTRANTS[entry[0]].label, str(entry[1]), *figures])
    return table(["solutions", "judge", "cores", "tests/s/core", "CPU ms/test of the supervisor"], rows)


def ratios(plan: Plan, results: Results) -> str:
    """How many times faster ours is than each of the others: a fork per test / a child per solution."""
    entered = {name for cell in plan.cells for name, _ in cell.entries}
    others = [name for name in ENTRANTS if name in entered and name not in JUDGES[:2]]
    rows = []
    for cell in plan.cells:
        row = [cell.name]
        for other in others:
            pair = [results.ratio(cell, (mine, 1), (other, 1)) for mine in JUDGES[:2]]
            row.append("–" if pair == [None, None] else " / ".join(map(factor, pair)))
        rows.append(row)
    return table(["ours is … times as fast as", *(ENTRANTS[name].label for name in others)], rows)


def endless(rows: Iterable[EndlessRow]) -> str:
    """The cost of an endless solution."""
    cells = [[row.judge, number(row.cpu_s), number(row.wall_s), row.how] for row in rows]
    return table(["endless solution, 64 tests", "CPU s", "wall s", ""], cells)


def targets(found: Iterable[Target]) -> str:
    """Met and missed targets."""
    rows = []
    for target in found:
        verdict = {True: "met", False: "**missed**", None: "not measured"}[target.met]
        spread = f"{number(target.spread[0])} – {number(target.spread[1])}" if target.spread else ""
        bound = ("≤ " if target.at_most else "≥ ") + number(target.bound, target.unit)
        rows.append([target.what, bound, number(target.value, target.unit), spread, verdict])
    return table(["target", "wanted", "measured", "lowest – highest round", ""], rows)


def embed(page: Path, name: str, content: str) -> None:
    """Puts `content` between the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->` of a page; a page that does not
    exist is created.

    Raises:
        ValueError: the page exists and has no such lines.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    block = f"{begin}\n{content.strip()}\n{end}"
    if not page.exists():
        page.write_text(block + "\n")
        return
    text, count = re.subn(f"{begin}.*?{end}", lambda _: block, page.read_text(), flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{page} has {count} places between {begin} and {end}; one is needed")
    page.write_text(text)
