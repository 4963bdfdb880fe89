# SPDX-License-Identifier: Apache-2.0
"""The math judge beside math-verify: how often each is right on labelled cases, and its speed.

    python benchmarks/math_judge.py CASES.jsonl [--gsm8k GSM8K.jsonl] [--rounds 3]

CASES.jsonl has rows {"row": {"response", "ground_truth"}, "want_acc"}. Both graders get the same text, one after the
other in one process, several rounds in turn; math-verify gets each reference boxed, as it reads bare text for numbers
only, and its own time-out of 5 s. Rows of the kind "attack" count for being right, not for speed. With --gsm8k, the
answers of that file as plain numbers are timed too.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

from klear_verl.reward.math.judge import grade

Pair = tuple[str, str]
_EXTRACTION = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())


def ours(reference: str, answer: str) -> bool:
    """The math judge."""
    return grade(reference, answer)[0]


def math_verify(reference: str, answer: str) -> bool:
    """math-verify with its defaults."""
    text = reference if "\\boxed" in reference or "$" in reference else f"\\boxed{{{reference}}}"
    return bool(verify(parse(text, _EXTRACTION), parse(answer, _EXTRACTION)))


GRADERS: dict[str, Callable[[str, str], bool]] = {"math judge": ours, "math-verify": math_verify}


def read_cases(path: Path) -> tuple[list[Pair], list[bool], list[bool]]:
    """(pairs, whether right, whether an attack)"""
    pairs, wanted, attacks = [], [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        truth = case["row"]["ground_truth"]
        reference = truth if isinstance(truth, str) else repr(truth)
        pairs.append((reference, case["row"]["response"].rpartition("</think>")[2]))
        wanted.append(bool(case["want_acc"]))
        attacks.append(case.get("kind") == "attack")
    return pairs, wanted, attacks


def accuracy(name: str, pairs: list[Pair], wanted: list[bool]) -> str:
    """One line of the table."""
    outcomes: list[bool | None] = []
    for reference, answer in pairs:
        try:
            outcomes.append(GRADERS[name](reference, answer))
        except Exception:  # a grader that raises has not graded: counted, which is what this table is for
            outcomes.append(None)
    right = sum(given is want for given, want in zip(outcomes, wanted, strict=True))
    accepted = sum(given is True and not want for given, want in zip(outcomes, wanted, strict=True))
    refused = sum(given is False and want for given, want in zip(outcomes, wanted, strict=True))
    return (
        f"{name:<12} {100 * right / len(pairs):6.1f} % right   "
        f"{100 * accepted / wanted.count(False):5.1f} % of wrong accepted   "
        f"{100 * refused / wanted.count(True):5.1f} % of right refused   {outcomes.count(None)} exceptions"
    )


def rate(name: str, pairs: list[Pair]) -> float:
    """Answers a second of processor time."""
    started = time.process_time()
    for reference, answer in pairs:
        try:
            GRADERS[name](reference, answer)
        except Exception:  # as above; here only the time counts
            continue
    return len(pairs) / (time.process_time() - started)


def show_rates(title: str, pairs: list[Pair], rounds: int) -> None:
    """Rates of both, in turn, and their ratio."""
    found: dict[str, list[float]] = {name: [] for name in GRADERS}
    for _ in range(rounds):
        for name in GRADERS:
            found[name].append(rate(name, pairs))
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    both = ", ".join(f"{name} {median:.0f}/s" for name, median in medians.items())
    print(f"{title}: {both}; ratio {medians['math judge'] / medians['math-verify']:.1f} (medians of {rounds})")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description="The math judge beside math-verify.")
    parser.add_argument("cases", type=Path)
    parser.add_argument("--gsm8k", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    sys.set_int_max_str_digits(0)
    pairs, wanted, attacks = read_cases(options.cases)
    for name in GRADERS:
        print(accuracy(name, pairs, wanted), flush=True)
    show_rates(
        f"{len(pairs)} cases without attacks",
        [pair for pair, attack in zip(pairs, attacks, strict=True) if not attack],
        options.rounds,
    )
    if options.gsm8k:
        answers = [
            json.loads(line)["answer"].rpartition("####")[2].strip() for line in options.gsm8k.read_text().splitlines()
        ]
        numbers = [(answer, f"so the answer is \\boxed{{{answer}}}.") for answer in answers[:500]]
        show_rates(f"{len(numbers)} plain numbers", numbers, options.rounds)


if __name__ == "__main__":
    main()
