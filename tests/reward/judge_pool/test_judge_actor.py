# SPDX-License-Identifier: Apache-2.0
"""What a judge actor does with what it is sent, without Ray and with a judge that the test answers for."""

import asyncio
import os

import pytest

from klear_verl.errors import DataError
from klear_verl.judge import JudgeConfig, Judgement, Problem, StdioTest, Verdict
from klear_verl.reward.judge_pool.actor import JudgeActor
from klear_verl.reward.judge_pool.config import Placement
from klear_verl.reward.judge_pool.messages import Batch, ProblemPacker, Run

PACKED = ProblemPacker(JudgeConfig(), 1).pack(Problem(id="p", tests=(StdioTest(input="", output=""),)))
RIGHT = Judgement((Verdict.AC,), 1.0, True, ("seccomp",))


class ScriptedJudge:
    """Judges every program right, but for those that name an error."""

    layers = ("seccomp",)

    async def arun(self, problem, source):
        await asyncio.sleep(0)
        if source == "data":
            raise DataError("the problem", "correct it")
        if source == "surprise":
            raise OSError("connection reset")
        return RIGHT


@pytest.fixture
def actor(monkeypatch):
    monkeypatch.setattr("klear_verl.reward.judge_pool.actor.Judge", lambda config: ScriptedJudge())
    return JudgeActor(JudgeConfig(), Placement("node", "host", 0, 1, 1), 1.0)


def exchanged(actor, *sources, tests=True):
    """The answers to these programs, by their place."""
    runs = tuple(Run(number, PACKED.key, source) for number, source in enumerate(sources))
    batch = Batch("client", runs, {PACKED.key: PACKED.blob} if tests else {}, 5.0, len(runs), 5.0)
    reply = asyncio.run(actor.exchange(batch))
    return {answer.number: answer for answer in reply.answers}, reply.load


def test_every_run_gets_its_own_answer(actor):
    answers, load = exchanged(actor, "one", "two")
    assert {number: answer.judgement for number, answer in answers.items()} == {0: RIGHT, 1: RIGHT}
    assert load == 0


def test_without_the_tests_it_asks_for_them_and_runs_nothing(actor):
    answers, _ = exchanged(actor, "one", tests=False)
    assert (answers[0].judgement, answers[0].error) == (None, None)


def test_an_error_of_the_callers_reaches_the_caller_as_it_is(actor):
    answers, _ = exchanged(actor, "data", "one")
    assert isinstance(answers[0].error, DataError) and answers[1].judgement == RIGHT


def test_any_other_error_is_answered_and_ends_no_other_run(actor, caplog):
    answers, load = exchanged(actor, "surprise", "one")
    assert "connection reset" in str(answers[0].error) and answers[1].judgement == RIGHT
    assert load == 0
    assert "judging failed" in caplog.text


@pytest.mark.parametrize(("planned", "on_the_node", "slots"), [(1, 1, 1), (4, 16, 2), (16, 16, 8), (1, 1000, 1)])
def test_slots_are_no_more_than_its_share_of_the_cores_and_never_none(monkeypatch, planned, on_the_node, slots):
    monkeypatch.setattr("klear_verl.reward.judge_pool.actor.Judge", lambda config: ScriptedJudge())
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    actor = JudgeActor(JudgeConfig(), Placement("node", "host", 0, planned, on_the_node), 1.0)
    assert asyncio.run(actor.hello()).slots == slots
