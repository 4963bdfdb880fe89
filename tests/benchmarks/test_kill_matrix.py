# SPDX-License-Identifier: Apache-2.0
"""The kill -9 log: what counts as a clean end. The kills themselves are in tests/integration/test_resume.py."""

from __future__ import annotations

import pytest
from kill_bench.attempt import Outcome

CLEAN = {
    "moment": "update",
    "victim": "WorkerDict",
    "step": 4,
    "resumed_from": 2,
    "checkpoint": 3,
    "status": 1,
    "ended_s": 7.0,
    "message": "",
}


def outcome(**changes: object) -> Outcome:
    return Outcome(**{**CLEAN, **changes})


def test_a_run_that_fails_by_itself_and_leaves_nothing_is_clean() -> None:
    assert outcome().clean


@pytest.mark.parametrize("changes", [{"status": None}, {"status": 0}, {"left": ["1 ray"]}, {"shared_memory": ["psm"]}])
def test_a_hang_a_success_or_a_remnant_is_not(changes: dict[str, object]) -> None:
    assert not outcome(**changes).clean


@pytest.mark.parametrize(("checkpoint", "clean"), [(5, True), (4, False)])
def test_a_judge_actors_death_must_be_followed_by_another_step(checkpoint: int, clean: bool) -> None:
    assert outcome(victim="JudgeActor", status=130, checkpoint=checkpoint).clean is clean
    assert not outcome(victim="JudgeActor", status=130, checkpoint=5, left=["1 ray"]).clean
