# SPDX-License-Identifier: Apache-2.0
"""A process that holds one contestant and times it: `python -m judge_bench.runner NAME OPTIONS`.

One JSON object per line each way, on the standard streams that the process was started with:
  {"cases": [...], "stride": n}                 -> {"facts"}: these are the solutions from now on
  {"seconds": s, "whole": bool, "first": k, "workers": n}
                                                -> {"workers": [Slice…], "facts"}: workers k, k+1, …, n of them
Only the judging is timed, neither this exchange nor the parsing of cases.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from klear_verl.judge import Problem

from .contestants import Contestant
from .programs import Case


@dataclass
class Slice:
    """What one worker did in its time. `cpu_s` is what the contestant says that the programs used, `own_cpu_s` the CPU
    time of this process, shared out among its workers; `misjudged` names the cases whose outcome is not the known one.
    """

    tests: int = 0
    solutions: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    own_cpu_s: float = 0.0
    misjudged: list[str] = field(default_factory=list)
    detail: str = ""


def make(name: str, options: dict[str, Any]) -> Contestant:
    """The contestant of this name. Imports only what it needs: prime_code brings torch."""
    if name == "ours":
        from .contestants.ours import Ours

        return Ours(**options)
    if name == "fresh":
        from .contestants.fresh_process import FreshProcess

        return FreshProcess(**options)
    if name == "prime_code":
        from .contestants.prime_code import PrimeCode

        return PrimeCode(**options)
    if name == "in_process":
        from .contestants.in_process import InProcess

        return InProcess()
    from .contestants.fork_limit import ForkLimit

    return ForkLimit(**options)


def run_slice(contestant: Contestant, cases: list[Case], seconds: float, whole: bool, worker: int) -> Slice:
    """Judges solutions in turn: each exactly once if `whole`, else until `seconds` have passed, and at least one.

    Args:
        worker: shifts the starting point, so that workers do not meet the slow solutions at the same time.
    """
    done = Slice()
    started = time.perf_counter()
    deadline = started + seconds
    shift = worker * len(cases) // 2
    while True:
        case = cases[(shift + done.solutions) % len(cases)]
        outcome = contestant.judge(case, float("inf") if whole else deadline)
        done.tests += outcome.tests
        done.solutions += 1
        done.cpu_s += outcome.cpu_s
        if outcome.accepted not in (None, case.accepted):
            done.misjudged.append(case.name)
            done.detail = outcome.detail
        done.wall_s = time.perf_counter() - started
        if done.solutions == len(cases) if whole else done.wall_s >= seconds:
            return done


def main() -> None:
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    # Contestants print, and programs inherit: neither may touch the exchange.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.environ.pop("PYTHONPATH", None)
    contestant = make(sys.argv[1], json.loads(sys.argv[2]))
    cases: list[Case] = []
    for line in requests:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        if "cases" in request:
            cases = [Case(**{**row, "problem": Problem(**row["problem"])}) for row in request["cases"]]
            if hasattr(contestant, "stride"):
                contestant.stride = request["stride"]
        else:
            answer["workers"] = [asdict(done) for done in _slices(contestant, cases, request)]
        print(json.dumps({**answer, "facts": contestant.facts()}), file=answers, flush=True)
    contestant.close()


def _slices(contestant: Contestant, cases: list[Case], request: dict[str, Any]) -> list[Slice]:
    def work(worker: int) -> Slice:
        return run_slice(contestant, cases, request["seconds"], request["whole"], worker)

    workers = range(request["first"], request["first"] + request["workers"])
    before_s = time.process_time()
    if len(workers) == 1:
        done = [work(workers[0])]  # in the main thread: signal.alarm works nowhere else
    else:
        with ThreadPoolExecutor(len(workers)) as pool:
            done = list(pool.map(work, workers))
    for one in done:
        one.own_cpu_s = (time.process_time() - before_s) / len(done)
    return done


if __name__ == "__main__":
    main()
