# SPDX-License-Identifier: Apache-2.0
"""One line of the doctor's report, and how the report is printed."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from klear_verl.errors import KlearError

Status = Literal["ok", "warn", "FAIL"]
"""ok: works. warn: works with less than it could, or could not be judged. FAIL: a command will not work here."""


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, what was found and, unless it is fine, the remedy."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def from_error(name: str, error: KlearError, status: Status = "FAIL") -> Finding:
    """The finding that an error of ours amounts to, in its own words."""
    return Finding(name, status, error.what, error.remedy)


def render(findings: Sequence[Finding], width: int | None = None) -> str:
    """The report as text: status, name and finding in columns, the remedy on a line of its own below."""
    total = width or max(shutil.get_terminal_size((110, 24)).columns, 60)
    name_width = max((len(finding.name) for finding in findings), default=0)
    indent = " " * (6 + name_width + 2)
    lines: list[str] = []
    for finding in findings:
        head = f"{finding.status:<6}{finding.name:<{name_width}}  "
        found = [part for line in finding.found.splitlines() or [""] for part in _wrap(line, total - len(indent))]
        lines.append((head + found[0]).rstrip())
        lines += [indent + line for line in found[1:]]
        if finding.status != "ok" and finding.remedy:
            lines += [indent + line for line in _wrap(f"-> {finding.remedy}", total - len(indent))]
    failed = [finding for finding in findings if finding.status == "FAIL"]
    warned = sum(finding.status == "warn" for finding in findings)
    names = ", ".join(dict.fromkeys(finding.name for finding in failed))
    verdict = f"{len(failed)} failed: {names}" if failed else "nothing failed"
    return "\n".join([*lines, "", f"{verdict}; {warned} to look at; {len(findings) - len(failed) - warned} fine"])


def as_json(findings: list[Finding]) -> str:
    """The findings as one JSON document: {"ok": bool, "findings": [{name, status, found, remedy}]}."""
    rows = [vars(finding) for finding in findings]
    return json.dumps({"ok": all(finding.status != "FAIL" for finding in findings), "findings": rows}, indent=2)


def _wrap(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, max(width, 30), break_long_words=False, break_on_hyphens=False) or [""]
