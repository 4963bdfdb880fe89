# SPDX-License-Identifier: Apache-2.0
"""A client's side of one judge actor, against an actor that the test answers for: how much goes there, what goes with
it, and what it calls back with."""

import asyncio
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError

from klear_verl.judge import Judgement, Verdict
from klear_verl.reward.judge_pool.config import JudgePoolConfig, Placement
from klear_verl.reward.judge_pool.messages import Hello, PackedProblem, Reply, RunAnswer
from klear_verl.reward.judge_pool.worker import JudgeWorker, Submission, choose

RIGHT = Judgement((Verdict.AC,), 1.0, True, ())
PACKED = PackedProblem("key", b"tests", 1)


class ScriptedActor:
    """Keeps every call's batch; the test sets its reply."""

    def __init__(self):
        self.calls = []
        self.exchange = SimpleNamespace(remote=self._exchange)

    def _exchange(self, batch):
        reply = asyncio.get_running_loop().create_future()
        self.calls.append((batch, reply))
        return reply


@pytest.fixture
def make():
    """Makes a worker of two slots and one queued solution per slot; with its actor, and what it called back with."""
    events = SimpleNamespace(answered=[], broken=[])
    actor = ScriptedActor()

    def build(slots=2, queue_per_slot=1.0, name="a"):
        pool = JudgePoolConfig(queue_per_slot=queue_per_slot)
        worker = JudgeWorker(
            name,
            Placement("node", "host", 0, slots, slots),
            actor,
            Hello(slots, ("seccomp",)),
            "client",
            pool,
            on_answer=lambda submission, answer: events.answered.append((submission, answer)),
            on_broken=lambda worker, reason: events.broken.append(reason),
        )
        return worker, actor, events

    return build


def submission(source="pass", packed=PACKED):
    return Submission(packed, source, Future())


async def turns(count=5):
    """Lets everything that is due happen."""
    for _ in range(count):
        await asyncio.sleep(0)


def on_a_loop(test):
    """Runs an asynchronous test."""

    def run(make):
        asyncio.run(test(make))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_a_loop
async def test_a_client_has_no_more_there_than_slots_and_queue(make):
    worker, _, _ = make(slots=2, queue_per_slot=1.0)
    sent = 0
    while worker.has_room:
        worker.send(sent, submission())
        sent += 1
    assert sent == worker.window == 4


@on_a_loop
async def test_solutions_of_one_moment_travel_in_one_call_with_their_tests_once(make):
    worker, actor, _ = make()
    for number in range(3):
        worker.send(number, submission(f"source {number}"))
    await turns()
    (batch, _), *others = actor.calls
    assert [run.source for run in batch.runs] == ["source 0", "source 1", "source 2"]
    assert (batch.problems, others) == ({"key": b"tests"}, [])


@on_a_loop
async def test_later_solutions_of_a_problem_travel_without_its_tests(make):
    worker, actor, _ = make()
    worker.send(0, submission())
    await turns()
    actor.calls[0][1].set_result(Reply((RunAnswer(0, RIGHT),), 0))
    await turns()
    worker.send(1, submission())
    await turns()
    assert (len(actor.calls[1][0].runs), actor.calls[1][0].problems) == (1, {})


@on_a_loop
async def test_an_actor_that_dropped_the_tests_gets_them_with_the_same_run(make):
    worker, actor, events = make()
    worker.send(7, submission("mine"))
    await turns()
    actor.calls[0][1].set_result(Reply((RunAnswer(7),), 0))
    await turns()
    batch = actor.calls[1][0]
    assert ([(run.number, run.source) for run in batch.runs], batch.problems) == ([(7, "mine")], {"key": b"tests"})
    assert events.answered == []


@on_a_loop
async def test_an_answer_reaches_its_own_submission_and_frees_its_place(make):
    worker, actor, events = make()
    submissions = [submission(), submission()]
    for number, one in enumerate(submissions):
        worker.send(number, one)
    await turns()
    answer = RunAnswer(1, RIGHT)
    actor.calls[0][1].set_result(Reply((answer,), 1))
    await turns()
    assert events.answered == [(submissions[1], answer)]
    assert list(worker.runs) == [0]
    assert len(actor.calls) == 2  # for the other


@on_a_loop
async def test_the_answer_of_a_run_that_was_given_up_comes_without_a_submission(make):
    worker, actor, events = make()
    worker.send(0, submission())
    await turns()
    worker.runs[0] = None
    actor.calls[0][1].set_result(Reply((RunAnswer(0, RIGHT),), 0))
    await turns()
    assert [one for one, _ in events.answered] == [None]
    assert worker.runs == {}


@on_a_loop
async def test_the_answer_of_a_run_from_before_the_actor_was_dropped_comes_without_a_submission(
    make,
):
    worker, actor, events = make()
    mine = submission()
    worker.send(8, mine)
    await turns()
    actor.calls[0][1].set_result(Reply((RunAnswer(3, RIGHT), RunAnswer(8, RIGHT)), 0))
    await turns()
    assert events.answered == [(None, RunAnswer(3, RIGHT)), (mine, RunAnswer(8, RIGHT))]


@on_a_loop
async def test_a_dead_actor_is_reported_and_not_called_again(make):
    worker, actor, events = make()
    worker.send(0, submission())
    await turns()
    actor.calls[0][1].set_exception(ActorDiedError())
    await turns()
    assert len(events.broken) == 1 and len(actor.calls) == 1


@on_a_loop
async def test_a_probe_calls_only_where_no_call_is_under_way(make):
    worker, actor, _ = make()
    for _ in range(2):
        worker.probe()
        await turns()
    assert len(actor.calls) == 1 and actor.calls[0][0].runs == ()


@on_a_loop
async def test_the_load_of_others_counts_and_ours_is_not_counted_twice(make):
    worker, actor, _ = make(slots=2)
    worker.send(0, submission())
    worker.send(1, submission())
    await turns()
    actor.calls[0][1].set_result(Reply((RunAnswer(0, RIGHT),), 4))  # of 4 in hand, 1 is ours
    await turns()
    assert worker.load_per_slot == (1 + 3) / 2


@on_a_loop
async def test_the_less_loaded_of_two_is_chosen_and_none_where_all_are_full(make):
    (busy, _, _), (idle, _, _) = make(slots=1, name="busy"), make(slots=2, name="idle")
    busy.send(0, submission())
    idle.send(1, submission())  # one on two slots is less than one on one
    assert {choose([busy, idle]) for _ in range(20)} == {idle}
    while idle.has_room:
        idle.send(len(idle.runs) + 10, submission())
    assert choose([busy, idle]) is busy
    busy.send(2, submission())
    assert choose([busy, idle]) is None


@on_a_loop
async def test_an_actor_that_had_a_run_of_it_is_chosen_only_for_want_of_another(make):
    (tried, _, _), (other, _, _) = make(name="tried"), make(name="other")
    other.send(0, submission())
    assert {choose([tried, other], avoid={"tried"}) for _ in range(20)} == {other}
    assert choose([tried], avoid={"tried"}) is tried
