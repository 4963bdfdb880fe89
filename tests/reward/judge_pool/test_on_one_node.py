# SPDX-License-Identifier: Apache-2.0
"""The judge on a real Ray cluster of one node: its judgements, its bounds, and what it makes of failures."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

ray = pytest.importorskip("ray")

from klear_verl.errors import DataError, EnvironmentProblem  # noqa: E402
from klear_verl.judge import CallTest, Judge, JudgeConfig, Problem, StdioTest, Verdict  # noqa: E402
from klear_verl.reward.judge_pool.client import RayJudge  # noqa: E402
from klear_verl.reward.judge_pool.config import JudgePoolConfig  # noqa: E402
from klear_verl.reward.judge_pool.messages import Batch, RunAnswer  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SLOTS = 2


@pytest.fixture(scope="module", autouse=True)
def cluster(ray_environment):
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    yield
    ray.shutdown()


@pytest.fixture
def judge():
    """Clients with an actor of two slots and quick to notice; all end with the test."""
    made = []

    def start(config=None, **pool):
        settings = {"cpus_per_node": SLOTS, "refresh_s": 0.5, **pool}
        made.append(RayJudge(config or JudgeConfig(), JudgePoolConfig(**settings)))
        return made[-1]

    yield start
    for client in made:
        client.close()
    _wait_for(lambda: not _actors())


def _actors():
    """The processes of the actors."""
    return [p for p in psutil.Process().children(recursive=True) if _name(p).startswith("ray::JudgeActor")]


def _name(process):
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _wait_for(condition, patience_s=120.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.05)


def _judge_all(client, problem, sources):
    with ThreadPoolExecutor(len(sources)) as threads:
        return list(threads.map(lambda source: client.run(problem, source), sources))


def _in_the_background(client, problem, sources):
    threads = ThreadPoolExecutor(len(sources))
    futures = [threads.submit(client.run, problem, source) for source in sources]
    threads.shutdown(wait=False)
    return futures


def _running():
    """Processes of programs. A zygote at rest has a process of its own below it, so these are three levels down."""
    level = _actors()
    for _ in range(3):
        level = [child for process in level for child in _children(process)]
    return level


def _children(process):
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


def test_judgements_are_those_of_the_local_judge(judge, double, program):
    sources = [
        program(),
        program(right=1),
        "print(",
        "import sys; sys.exit(3)",
        "while True: pass",
        "x = [0] * 10**9",
        "print('y' * 2**25)",
        "print(2 * int(input()) + 1)",
    ]
    config = JudgeConfig(slots=SLOTS, limits={"cpu_s": 0.5, "wall_s": 3.0, "memory_mib": 256})
    with Judge(config) as local:
        expected = [local.run(double, source) for source in sources]
    client = judge(config)
    found = _judge_all(client, double, sources)
    assert [one.verdicts for one in found] == [one.verdicts for one in expected]
    assert [(one.pass_rate, one.acc, one.untested) for one in found] == [
        (one.pass_rate, one.acc, one.untested) for one in expected
    ]
    assert {one.layers for one in found} == {client.layers} == {expected[0].layers}


def test_waiting_is_queue_time_and_not_run_time(judge, double, program):
    found = _judge_all(judge(cpus_per_node=1), double, [program(sleep_s=0.5, note=str(n)) for n in range(4)])
    assert max(one.usage.queue_s for one in found) > 1.2  # behind three others
    assert max(one.usage.wall_s for one in found) < 2.0  # four of 0.5 s, one after the other, are more


def test_all_clients_of_a_job_share_one_actor(judge, double, program):
    clients = [judge(), judge()]
    assert [client.run(double, program()).acc for client in clients] == [True, True]
    assert len(_actors()) == 1


def test_a_client_in_another_process_shares_it_too(judge, double, program):
    judge()
    pool = JudgePoolConfig(cpus_per_node=SLOTS, refresh_s=0.5)

    @ray.remote(num_cpus=0)
    def elsewhere(problem, source):
        with RayJudge(JudgeConfig(), pool) as client:
            return client.run(problem, source).acc

    assert ray.get(elsewhere.remote(double, program()), timeout=250) is True
    assert len(_actors()) == 1


def test_an_actor_never_holds_more_than_its_clients_windows(judge, double, program):
    clients = [judge(queue_per_slot=1.0), judge(queue_per_slot=1.0)]
    (name,) = clients[0]._pool.workers
    actor = ray.get_actor(name)
    waiting = [
        future
        for number, client in enumerate(clients)
        for future in _in_the_background(
            client, double, [program(sleep_s=0.2, note=f"{number} {n}") for n in range(12)]
        )
    ]
    loads = []
    while not all(future.done() for future in waiting):
        empty = Batch("onlooker", (), {}, 0.0, 1, 0.0)
        loads.append(ray.get(actor.exchange.remote(empty), timeout=120).load)
        time.sleep(0.02)
    assert all(future.result().acc for future in waiting)
    assert SLOTS < max(loads) <= 2 * 2 * SLOTS


def test_megabytes_of_tests_are_there_for_a_whole_group(judge, program):
    tests = tuple(StdioTest(input=f"{n}\n" + "x" * 500_000, output=f"{2 * n}\n") for n in range(1, 5))
    found = _judge_all(judge(), Problem(id="large", tests=tests), [program(right=n % 5) for n in range(8)])
    assert [one.pass_rate for one in found] == [(n % 5) / 4 for n in range(8)]


def test_a_full_cache_costs_time_and_no_judgement(judge, program):
    tests = [StdioTest(input=f"{n}\n" + "x" * 10_000, output=f"{2 * n}\n") for n in range(1, 3)]
    problems = [Problem(id=f"p{number}", tests=tuple(tests)) for number in range(3)]
    client = judge(problem_cache_mib=0.001)
    for _ in range(2):
        assert [client.run(problem, program()).acc for problem in problems] == [True] * 3


def test_what_was_at_a_killed_actor_runs_again_exactly_once(judge, double, program):
    client = judge()
    waiting = _in_the_background(client, double, [program(right=n % 5, sleep_s=0.3, note=str(n)) for n in range(12)])
    _wait_for(lambda: client.counts.judged >= 2)
    os.kill(_actors()[0].pid, signal.SIGKILL)
    found = [future.result(timeout=250) for future in waiting]
    assert [one.pass_rate for one in found] == [(n % 5) / 4 for n in range(12)]
    assert client.counts.judged == 12
    assert {one.retries for one in found} == {0, 1}
    assert client.counts.repeated == sum(one.retries for one in found) <= 4 * SLOTS  # what can be there at once


def test_the_death_of_the_worker_that_created_the_actor_costs_the_others_a_repeat(judge, double, program):
    pool = JudgePoolConfig(cpus_per_node=SLOTS, refresh_s=0.5)

    @ray.remote(num_cpus=0)
    class Worker:
        def __init__(self):
            self.client = RayJudge(JudgeConfig(), pool)

        def layers(self):
            return self.client.layers

    worker = Worker.remote()
    layers = ray.get(worker.layers.remote(), timeout=250)
    client = judge()
    (created,) = _actors()
    waiting = _in_the_background(client, double, [program(right=n % 5, sleep_s=0.5, note=str(n)) for n in range(8)])
    _wait_for(lambda: client.counts.judged >= 1)
    ray.kill(worker)
    found = [future.result(timeout=250) for future in waiting]
    assert [one.pass_rate for one in found] == [(n % 5) / 4 for n in range(8)]
    assert {one.retries for one in found} == {0, 1}
    assert {one.layers for one in found} == {layers}
    assert [actor.pid for actor in _actors()] != [created.pid]


def test_without_retries_left_a_solution_is_ungraded_and_never_wrong(judge, double, program):
    client = judge(retries=0)
    (waiting,) = _in_the_background(client, double, [program(sleep_s=5.0)])
    _wait_for(_running)
    os.kill(_actors()[0].pid, signal.SIGKILL)
    found = waiting.result(timeout=120)
    assert (found.pass_rate, found.acc, set(found.verdicts)) == (None, None, {Verdict.IE})
    assert "not judged in 1 runs" in found.detail
    assert client.counts.ungraded == 1


def test_a_killed_zygote_costs_no_judgement(judge, double, program):
    client = judge()
    waiting = _in_the_background(client, double, [program(sleep_s=0.5, note=str(n)) for n in range(4)])
    _wait_for(_running)
    for zygote in _actors()[0].children():
        zygote.kill()
    found = [future.result(timeout=250) for future in waiting]
    assert [one.acc for one in found] == [True] * 4
    assert sum(one.retries for one in found) >= 1


def test_an_actor_that_hangs_is_replaced(judge, double, program):
    client = judge(unresponsive_s=2.0)
    (waiting,) = _in_the_background(client, double, [program(sleep_s=1.0)])
    _wait_for(_running)
    stopped = _actors()[0]
    stopped.suspend()
    found = waiting.result(timeout=250)
    assert (found.acc, found.retries) == (True, 1)
    _wait_for(lambda: not stopped.is_running() or stopped.status() == psutil.STATUS_ZOMBIE)


def test_a_late_answer_is_counted_and_ignored(judge, double, program):
    client = judge(attempt_timeout_s=1.0, retries=1)
    found = client.run(double, program(sleep_s=2.5))
    assert (found.pass_rate, found.retries) == (None, 1)
    _wait_for(lambda: client.counts.late == 2)
    assert client.counts.judged == 1
    assert client.run(double, program()).acc is True


def test_a_problem_that_cannot_be_run_is_an_error_for_its_caller_alone(judge, double, program):
    client = judge()
    with pytest.raises(DataError, match="entry_point"):
        client.run(Problem(id="p", tests=(CallTest(args=[], expected=1),)), "def f(): return 1")
    assert client.run(double, program()).acc is True


def test_an_unexpected_error_in_an_actor_costs_a_repeat(judge, double, program):
    client = judge()
    (worker,) = client._pool.workers.values()
    on_answer = worker._on_answer

    def fail_once(submission, answer):
        worker._on_answer = on_answer
        on_answer(submission, RunAnswer(answer.number, error=RuntimeError("broken pipe")))

    worker._on_answer = fail_once
    found = client.run(double, program())
    assert (found.acc, found.retries) == (True, 1)


def test_closing_ends_waiting_calls_and_the_actor(judge, double, program):
    client = judge()
    (waiting,) = _in_the_background(client, double, [program(sleep_s=5.0)])
    _wait_for(_running)
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        waiting.result(timeout=10)
    with pytest.raises(RuntimeError, match="closed"):
        client.run(double, program())
    _wait_for(lambda: not _actors())


def test_a_node_that_cannot_isolate_is_refused_with_its_name_and_the_remedy(judge):
    with pytest.raises(EnvironmentProblem, match=r"node .*no_such_layer"):
        judge(JudgeConfig(require=("no_such_layer",)))


def test_cpus_that_are_never_free_are_an_error_and_not_a_wait_for_ever(judge):
    @ray.remote(num_cpus=4)
    class Hog:
        def ready(self):
            return True

    hog = Hog.remote()
    ray.get(hog.ready.remote(), timeout=250)
    with pytest.raises(EnvironmentProblem, match="2 CPUs") as caught:
        judge(start_timeout_s=3.0)
    assert "cpus_per_node" in caught.value.remedy
    assert judge(cpus_per_node="auto").layers  # which doesn't insist on reserving any
    ray.kill(hog)


def test_it_serves_an_event_loop_without_holding_it(judge, double, program):
    client = judge()

    async def score_while_generating():
        ticks = 0
        scoring = asyncio.gather(*(client.arun(double, program(sleep_s=0.5, note=str(n))) for n in range(4)))
        while not scoring.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks, await scoring

    started = time.monotonic()
    ticks, found = asyncio.run(score_while_generating())
    assert all(one.acc for one in found)
    assert ticks > 25 * (time.monotonic() - started)
