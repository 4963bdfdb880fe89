# SPDX-License-Identifier: Apache-2.0
"""Responses and groups for the tests of this folder."""

from klear_verl.trainer.config import GroupsConfig, OverlongConfig
from klear_verl.trainer.rollouts import Response, make_group


def response(score, *, session=0, position=0, reward=None, tokens=10, **info):
    """A response whose task score is `score`; its reward is the same unless given."""
    uid = f"prompt{position}"
    return Response(
        keys=(f"{uid}_{session}_0",),
        uid=uid,
        position=position,
        session=session,
        prompt_tokens=5,
        response_tokens=tokens,
        reward=score if reward is None else reward,
        info={"task_score": score, "acc": float(score == 1.0), "overlong": 0.0, "ungraded": 0.0, **info},
        data_source="math",
    )


def group(*scores, position=0, groups=None, overlong=None, **common):
    """A group of responses with these task scores."""
    made = [response(score, session=n, position=position, **common) for n, score in enumerate(scores)]
    return make_group(made, groups or GroupsConfig(), overlong or OverlongConfig())
