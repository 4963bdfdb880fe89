# SPDX-License-Identifier: Apache-2.0
"""What judging over Ray costs: the same solutions through `Judge` in this process and through `RayJudge` on a cluster
of one node, with the same slots, in turns.

    python benchmarks/ray_judge.py [--rounds 20] [--solutions 20] [--tests 16] [--slots 2]

Prints one JSON line; exit status 1 if dispatch costs more than the target. A round runs all solutions both ways, one
right after the other.

    ratio                       Ray's wall time to the local one's: median over rounds; ratio_low, ratio_high: quartiles
    dispatch_share              CPU time that Ray adds to client and supervisor, as a share of what the slots' cores
                                had: steadier than wall time on a machine that does other things too
    supervisor_cpu_ms_per_test  of the actor's own process, whose interpreter all its slots share
    client_cpu_ms_per_solution  of this process, Ray's threads included
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import ray

from klear_verl.cpu import environment
from klear_verl.judge import Judge, JudgeConfig, Problem, StdioTest
from klear_verl.reward.judge_pool.client import RayJudge
from klear_verl.reward.judge_pool.config import JudgePoolConfig

TARGET_RATIO = 1.05
PROGRAM = "import sys\nn = int(sys.stdin.readline())\nprint(n * (n + 1) // 2)\n"


def problem(tests: int) -> Problem:
    """The sum of the first n numbers."""
    cases = (StdioTest(input=f"{n}\n", output=f"{n * (n + 1) // 2}\n") for n in range(tests))
    return Problem(id="triangular", tests=tuple(cases))


@contextmanager
def cluster(slots: int) -> Iterator[None]:
    """A Ray cluster of one node in this process's care."""
    environment.apply()
    # Ray's own 15 would let every other process of the machine go first.
    os.environ |= {"RAY_worker_niceness": "0"}
    ray.init(num_cpus=slots + 1, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    try:
        yield
    finally:
        ray.shutdown()


def wall_s(judge: Judge | RayJudge, task: Problem, solutions: int) -> float:
    """Seconds for `solutions` at once, each different from the others."""

    async def all_of_them() -> None:
        sources = [f"{PROGRAM}# {number}" for number in range(solutions)]
        judgements = await asyncio.gather(*(judge.arun(task, source) for source in sources))
        assert all(judgement.acc for judgement in judgements)

    started = time.perf_counter()
    asyncio.run(all_of_them())
    return time.perf_counter() - started


def actor_process() -> psutil.Process:
    """The process of the only judge actor."""
    found = [p for p in psutil.Process().children(recursive=True) if p.name().startswith("ray::JudgeActor")]
    assert len(found) == 1, found
    return found[0]


def own_cpu_s(process: psutil.Process) -> float:
    """CPU seconds of the process itself, without children."""
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(rounds: int, solutions: int, tests: int, slots: int) -> dict[str, float]:
    """Medians over rounds, after one that warms both ways up."""
    task = problem(tests)
    config = JudgeConfig(slots=slots, max_tests=tests)
    walls_s: list[tuple[float, float]] = []
    with cluster(slots), Judge(config) as local, RayJudge(config, JudgePoolConfig(cpus_per_node=slots)) as spread:
        actor, client = actor_process(), psutil.Process()

        def cpu_s() -> tuple[float, float]:
            return own_cpu_s(client), own_cpu_s(actor)

        client_s = actor_s = local_cpu_s = 0.0
        for number in range(rounds + 1):
            start = cpu_s()
            local_s = wall_s(local, task, solutions)
            middle = cpu_s()
            ray_s = wall_s(spread, task, solutions)
            end = cpu_s()
            if number:
                walls_s.append((local_s, ray_s))
                local_cpu_s += sum(middle) - sum(start)
                client_s += end[0] - middle[0]
                actor_s += end[1] - middle[1]
        rss_mib = actor.memory_info().rss / 2**20
    ratios = sorted(ray_s / local_s for local_s, ray_s in walls_s)
    return {
        "local_solutions_per_s": solutions / statistics.median(local_s for local_s, _ in walls_s),
        "ray_solutions_per_s": solutions / statistics.median(ray_s for _, ray_s in walls_s),
        "ratio": statistics.median(ratios),
        "ratio_low": ratios[len(ratios) // 4],
        "ratio_high": ratios[-1 - len(ratios) // 4],
        "dispatch_share": (client_s + actor_s - local_cpu_s) / (slots * sum(local_s for local_s, _ in walls_s)),
        "supervisor_cpu_ms_per_test": 1e3 * actor_s / (rounds * solutions * tests),
        "client_cpu_ms_per_solution": 1e3 * client_s / (rounds * solutions),
        "actor_rss_mib": rss_mib,
    }


def main() -> int:
    """Measures once; fails over the target."""
    parser = argparse.ArgumentParser(description="What judging over Ray costs against the local judge.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--solutions", type=int, default=20, help="per round")
    parser.add_argument("--tests", type=int, default=16, help="per solution")
    parser.add_argument("--slots", type=int, default=2)
    options = parser.parse_args()
    result = measure(options.rounds, options.solutions, options.tests, options.slots)
    print(json.dumps({name: round(value, 3) for name, value in result.items()}))
    return int(result["ratio"] > TARGET_RATIO)


if __name__ == "__main__":
    sys.exit(main())
