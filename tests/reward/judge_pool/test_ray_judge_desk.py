# SPDX-License-Identifier: Apache-2.0
"""When an actor replies: with several answers where more are to come, at once where none are."""

import asyncio
import time

from klear_verl.reward.judge_pool.mailbox import Desk
from klear_verl.reward.judge_pool.messages import Answer, Parcel

FOREVER_S = 60.0


def parcel(linger_s=FOREVER_S, enough=100, patience_s=FOREVER_S):
    return Parcel("client", (), {}, linger_s, enough, patience_s)


def desk(in_hand, *numbers):
    made = Desk()
    made.in_hand = in_hand
    for number in numbers:
        made.put(Answer(number))
    return made


def fetched(made, **terms):
    async def fetch():
        async with asyncio.timeout(5):
            return [answer.number for answer in await made.fetch(parcel(**terms))]

    return asyncio.run(fetch())


def test_with_nothing_in_hand_the_reply_comes_at_once():
    assert fetched(desk(0)) == []
    assert fetched(desk(0, 1, 2)) == [1, 2]


def test_enough_answers_are_not_held_back_for_those_in_hand():
    assert fetched(desk(3, 1, 2), enough=2) == [1, 2]


def test_answers_wait_for_others_as_long_as_they_may_linger():
    started = time.monotonic()
    assert fetched(desk(1, 1), linger_s=0.2) == [1]
    assert time.monotonic() - started >= 0.2


def test_with_no_answer_the_reply_comes_when_patience_ends():
    assert fetched(desk(1), patience_s=0.1) == []


def test_an_answer_is_given_once():
    made = desk(0, 1)
    assert fetched(made) == [1]
    assert fetched(made) == []


def test_a_later_call_gets_the_answers_and_the_earlier_one_nothing():
    async def both():
        made = desk(1)
        earlier = asyncio.create_task(made.fetch(parcel()))
        await asyncio.sleep(0)
        later = asyncio.create_task(made.fetch(parcel(enough=1)))
        await asyncio.sleep(0)
        made.put(Answer(1))
        async with asyncio.timeout(5):
            return await earlier, await later

    assert asyncio.run(both()) == ((), (Answer(1),))


def test_what_comes_in_between_two_calls_is_kept():
    async def between():
        made = desk(1)
        async with asyncio.timeout(5):
            nothing = await made.fetch(parcel(patience_s=0))
            made.put(Answer(1))
            return nothing, await made.fetch(parcel(enough=1))

    assert asyncio.run(between()) == ((), (Answer(1),))
