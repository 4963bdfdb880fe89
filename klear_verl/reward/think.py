# SPDX-License-Identifier: Apache-2.0
"""The think format: is the reasoning inside `<think>…</think>`, and which text after it is the answer.

Only the form is judged here, never the answer. Nothing here raises: every string has a parse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

THINK_START = "<think>"
THINK_END = "</think>"

ThinkFault = Literal["no_think_end", "no_think_start"]


@dataclass(frozen=True)
class ThinkParse:
    """`answer` is the text to grade (None: there is none); `fault` is what the format lacks (None: well-formed)."""

    answer: str | None
    fault: ThinkFault | None


def parse_think(response: str, *, prefilled: bool | Literal["auto"] = "auto") -> ThinkParse:
    """Splits a response into reasoning and answer, where the think format is required.

    Well-formed: the response begins with `<think>` (white space aside), closes it, and what follows the last
    `</think>` is the answer. A second `<think>` left open after it is thinking cut short: `no_think_end`.

    Args:
        response: the text of the response alone, without the prompt.
        prefilled: whether the chat template already wrote `<think>` at the end of the prompt. True: it did, so the
            response need not
            begin with it. False: it did not. "auto": a response with no `<think>` and exactly one `</think>` counts
            as well-formed.
    """
    head, end, answer = response.rpartition(THINK_END)
    if not end or THINK_START in answer:
        return ThinkParse(answer=None, fault="no_think_end")
    begins = response.lstrip().startswith(THINK_START)
    in_prompt = (THINK_START not in head and THINK_END not in head) if prefilled == "auto" else prefilled
    return ThinkParse(answer=answer, fault=None if begins or in_prompt else "no_think_start")


def text_after_think(response: str) -> str:
    """What follows the last `</think>`, or the whole response where there is none: for responses that need no think
    format."""
    return response.rpartition(THINK_END)[2]
