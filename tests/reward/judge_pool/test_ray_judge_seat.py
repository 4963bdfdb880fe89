# SPDX-License-Identifier: Apache-2.0
"""A client's side of one judge actor, against an actor that the test answers for: how much goes there, what goes with
it, and who is told what."""

import asyncio
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError

from klear_verl.judge.verdict import Judgement, Verdict
from klear_verl.reward.judge_pool.config import JudgePoolConfig
from klear_verl.reward.judge_pool.dispatch import choose
from klear_verl.reward.judge_pool.messages import Answer, Answers, Hello
from klear_verl.reward.judge_pool.placement import Placement
from klear_verl.reward.judge_pool.problem_cache import PackedProblem
from klear_verl.reward.judge_pool.request import Request
from klear_verl.reward.judge_pool.worker import Seat

RIGHT = Judgement((Verdict.AC,), 1.0, True, ())
PACKED = PackedProblem("key", b"tests", 1)


class ScriptedActor:
    """Keeps every call's parcel; the test settles its reply."""

    def __init__(self):
        self.calls = []
        self.exchange = SimpleNamespace(remote=self._exchange)

    def _exchange(self, parcel):
        reply = asyncio.get_running_loop().create_future()
        self.calls.append((parcel, reply))
        return reply


@pytest.fixture
def table():
    """A seat of two slots and one queued solution per slot, its actor, and what it told."""
    told = SimpleNamespace(settled=[], broken=[])
    actor = ScriptedActor()

    def build(slots=2, queue_per_slot=1.0, name="a"):
        pool = JudgePoolConfig(queue_per_slot=queue_per_slot)
        seat = Seat(
            name,
            Placement("node", "host", 0, slots, slots),
            actor,
            Hello(slots, ("seccomp",)),
            "client",
            pool,
            settled=lambda request, answer: told.settled.append((request, answer)),
            broken=lambda seat, reason: told.broken.append(reason),
        )
        return seat, actor, told

    return build


def request(source="pass", packed=PACKED):
    return Request(packed, source, Future())


async def turns(count=5):
    """Lets everything that is due happen."""
    for _ in range(count):
        await asyncio.sleep(0)


def on_a_loop(test):
    """Runs an asynchronous test."""

    def run(table):
        asyncio.run(test(table))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_a_loop
async def test_a_client_has_no_more_there_than_slots_and_queue(table):
    seat, _, _ = table(slots=2, queue_per_slot=1.0)
    sent = 0
    while seat.has_room:
        seat.send(sent, request())
        sent += 1
    assert sent == seat.window == 4


@on_a_loop
async def test_solutions_of_one_moment_travel_in_one_call_with_their_tests_once(table):
    seat, actor, _ = table()
    for number in range(3):
        seat.send(number, request(f"source {number}"))
    await turns()
    (parcel, _), *others = actor.calls
    assert [run.source for run in parcel.runs] == ["source 0", "source 1", "source 2"]
    assert (parcel.tests, others) == ({"key": b"tests"}, [])


@on_a_loop
async def test_later_solutions_of_a_problem_travel_without_its_tests(table):
    seat, actor, _ = table()
    seat.send(0, request())
    await turns()
    actor.calls[0][1].set_result(Answers((Answer(0, RIGHT),), 0))
    await turns()
    seat.send(1, request())
    await turns()
    assert (len(actor.calls[1][0].runs), actor.calls[1][0].tests) == (1, {})


@on_a_loop
async def test_an_actor_that_dropped_the_tests_gets_them_with_the_same_run(table):
    seat, actor, told = table()
    seat.send(7, request("mine"))
    await turns()
    actor.calls[0][1].set_result(Answers((Answer(7),), 0))
    await turns()
    parcel = actor.calls[1][0]
    assert ([(run.number, run.source) for run in parcel.runs], parcel.tests) == ([(7, "mine")], {"key": b"tests"})
    assert told.settled == []


@on_a_loop
async def test_an_answer_reaches_its_own_request_and_frees_its_place(table):
    seat, actor, told = table()
    requests = [request(), request()]
    for number, one in enumerate(requests):
        seat.send(number, one)
    await turns()
    answer = Answer(1, RIGHT)
    actor.calls[0][1].set_result(Answers((answer,), 1))
    await turns()
    assert told.settled == [(requests[1], answer)]
    assert list(seat.runs) == [0]
    assert len(actor.calls) == 2  # for the other


@on_a_loop
async def test_the_answer_of_a_run_that_was_given_up_is_told_as_nobodys(table):
    seat, actor, told = table()
    seat.send(0, request())
    await turns()
    seat.runs[0] = None
    actor.calls[0][1].set_result(Answers((Answer(0, RIGHT),), 0))
    await turns()
    assert [one for one, _ in told.settled] == [None]
    assert seat.runs == {}


@on_a_loop
async def test_the_answer_of_a_run_from_before_the_actor_was_given_up_is_nobodys_and_hurts_nothing(table):
    seat, actor, told = table()
    mine = request()
    seat.send(8, mine)
    await turns()
    actor.calls[0][1].set_result(Answers((Answer(3, RIGHT), Answer(8, RIGHT)), 0))
    await turns()
    assert told.settled == [(None, Answer(3, RIGHT)), (mine, Answer(8, RIGHT))]


@on_a_loop
async def test_a_dead_actor_is_told_and_not_called_again(table):
    seat, actor, told = table()
    seat.send(0, request())
    await turns()
    actor.calls[0][1].set_exception(ActorDiedError())
    await turns()
    assert len(told.broken) == 1 and len(actor.calls) == 1


@on_a_loop
async def test_a_look_calls_only_where_no_call_is_under_way(table):
    seat, actor, _ = table()
    for _ in range(2):
        seat.look()
        await turns()
    assert len(actor.calls) == 1 and actor.calls[0][0].runs == ()


@on_a_loop
async def test_the_load_of_others_counts_and_ours_is_not_counted_twice(table):
    seat, actor, _ = table(slots=2)
    seat.send(0, request())
    seat.send(1, request())
    await turns()
    actor.calls[0][1].set_result(Answers((Answer(0, RIGHT),), 4))  # of 4 in hand, 1 is ours
    await turns()
    assert seat.load_per_slot == (1 + 3) / 2


@on_a_loop
async def test_the_less_loaded_of_two_is_chosen_and_none_where_all_are_full(table):
    (busy, _, _), (idle, _, _) = table(slots=1, name="busy"), table(slots=2, name="idle")
    busy.send(0, request())
    idle.send(1, request())  # one on two slots is less than one on one
    assert {choose([busy, idle]) for _ in range(20)} == {idle}
    while idle.has_room:
        idle.send(len(idle.runs) + 10, request())
    assert choose([busy, idle]) is busy
    busy.send(2, request())
    assert choose([busy, idle]) is None


@on_a_loop
async def test_an_actor_that_had_a_run_of_it_is_chosen_only_for_want_of_another(table):
    (tried, _, _), (other, _, _) = table(name="tried"), table(name="other")
    other.send(0, request())
    assert {choose([tried, other], avoid={"tried"}) for _ in range(20)} == {other}
    assert choose([tried], avoid={"tried"}) is tried
