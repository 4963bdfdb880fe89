# SPDX-License-Identifier: Apache-2.0
"""One grader process: reads a gradable pair per line on standard input, writes the outcome per line on standard output.

Run as a file, by `pool.MathPool` only, it imports math-verify and nothing heavier. math-verify's own time-outs are off:
they need signal.alarm in a main thread and report a time-out as "not equal". Instead the kernel kills this process when
a pair takes too long, even inside one C call, and even if its parent is gone.

Protocol, JSON per line. In: {"gold", "answer", "cpu_s"}. Out: first {"ready": true}, then {"outcome", "detail",
"cpu_s"} with outcome "correct", "wrong", "bad_gold" (the reference cannot be parsed) or "error" (math-verify raised:
the answer was not judged).
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import signal
import sys
import time
from functools import lru_cache
from typing import Any

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify
from sympy import Basic, MatrixBase

# A boxed answer is what prompts ask for, so it wins over any other expression of the answer.
_EXTRACTION = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())
# math-verify reads no percentage at the end of a box, and elsewhere takes 10 and 10% for equal.
_BOXED_PERCENT = re.compile(r"\s*\\?%\s*}")
_PLAIN_PERCENT = re.compile(r"[-+\d.,\s]+\\?%\s*")


def parse_expression(text: str) -> list[Any]:
    """What math-verify finds in `text`: sympy expressions and their source strings; empty if nothing."""
    text = _BOXED_PERCENT.sub("}", text)
    return parse(text, _EXTRACTION, parsing_timeout=None, raise_on_error=True)


@lru_cache(maxsize=64)
def parse_gold(gold: str) -> tuple[Any, ...]:
    """Parses a reference: `4`, `\\boxed{4}`, `$\\frac{1}{2}$`, bare LaTeX. Empty if it has no mathematical reading.

    A bare reference is boxed, since bare text is searched for numbers only (`3\\sqrt{2}` would read as 3).
    """
    if _PLAIN_PERCENT.fullmatch(gold):
        text = gold.replace("\\%", "%")
    else:
        text = gold if "\\boxed" in gold or "$" in gold else f"\\boxed{{{gold}}}"
    parsed = parse_expression(text)
    return tuple(parsed) if any(isinstance(item, (Basic, MatrixBase)) for item in parsed) else ()


def grade(gold: str, answer: str) -> tuple[str, str]:
    """(outcome, detail) of one pair; see the protocol."""
    try:
        reference = parse_gold(gold)
    except Exception as error:  # math-verify and sympy raise anything; the caller reports it as ungraded
        return "bad_gold", f"{type(error).__name__}: {error}"
    if not reference:
        return "bad_gold", "no mathematical expression in it"
    try:
        candidate = parse_expression(answer)
        if not candidate:
            return "wrong", "no mathematical expression in the answer"
        equal = verify(list(reference), candidate, timeout_seconds=None, raise_on_error=True)
    except Exception as error:  # likewise: "error" is reported as ungraded, never as wrong
        return "error", f"{type(error).__name__}: {error}"
    return ("correct", "") if equal else ("wrong", f"got {str(candidate[-1])[:200]!r}")


def main() -> None:
    """Grades until standard input closes."""
    memory_bytes = int(sys.argv[1]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a parent that is gone needs no traceback
    logging.disable(logging.CRITICAL)  # math-verify warns about the time-outs we switch off on purpose
    # Replies go out on a private descriptor: nothing that prints can corrupt them.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps({"ready": True}), file=replies)
    for line in sys.stdin:
        request = json.loads(line)
        start = time.process_time()
        # The default action of its signal ends the process, in the kernel. It counts this process's CPU time alone, so
        # it need not be disarmed while waiting. The wall-clock limit is the parent's to keep.
        signal.setitimer(signal.ITIMER_PROF, request["cpu_s"])
        outcome, detail = grade(request["gold"], request["answer"])
        print(json.dumps({"outcome": outcome, "detail": detail, "cpu_s": time.process_time() - start}), file=replies)


if __name__ == "__main__":
    main()
