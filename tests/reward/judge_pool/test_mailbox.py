# SPDX-License-Identifier: Apache-2.0
"""When an actor replies: with several answers where more are to come, at once where none are."""

import asyncio
import time

from klear_verl.reward.judge_pool.actor import Mailbox
from klear_verl.reward.judge_pool.messages import Batch, RunAnswer

FOREVER_S = 60.0


def batch(linger_s=FOREVER_S, enough=100, patience_s=FOREVER_S):
    return Batch("client", (), {}, linger_s, enough, patience_s)


def mailbox(unfinished, *numbers):
    made = Mailbox()
    made.unfinished = unfinished
    for number in numbers:
        made.put(RunAnswer(number))
    return made


def fetched(made, **terms):
    async def fetch():
        async with asyncio.timeout(5):
            return [answer.number for answer in await made.fetch(batch(**terms))]

    return asyncio.run(fetch())


def test_with_nothing_unfinished_the_reply_comes_at_once():
    assert fetched(mailbox(0)) == []
    assert fetched(mailbox(0, 1, 2)) == [1, 2]


def test_enough_answers_are_not_held_back_for_those_unfinished():
    assert fetched(mailbox(3, 1, 2), enough=2) == [1, 2]


def test_answers_wait_for_others_as_long_as_they_may_linger():
    started = time.monotonic()
    assert fetched(mailbox(1, 1), linger_s=0.2) == [1]
    assert time.monotonic() - started >= 0.2


def test_with_no_answer_the_reply_comes_when_patience_ends():
    assert fetched(mailbox(1), patience_s=0.1) == []


def test_an_answer_is_given_once():
    made = mailbox(0, 1)
    assert fetched(made) == [1]
    assert fetched(made) == []


def test_a_later_call_gets_the_answers_and_the_earlier_one_nothing():
    async def both():
        made = mailbox(1)
        earlier = asyncio.create_task(made.fetch(batch()))
        await asyncio.sleep(0)
        later = asyncio.create_task(made.fetch(batch(enough=1)))
        await asyncio.sleep(0)
        made.put(RunAnswer(1))
        async with asyncio.timeout(5):
            return await earlier, await later

    assert asyncio.run(both()) == ((), (RunAnswer(1),))


def test_what_comes_in_between_two_calls_is_kept():
    async def between():
        made = mailbox(1)
        async with asyncio.timeout(5):
            nothing = await made.fetch(batch(patience_s=0))
            made.put(RunAnswer(1))
            return nothing, await made.fetch(batch(enough=1))

    assert asyncio.run(between()) == ((), (RunAnswer(1),))
