# SPDX-License-Identifier: Apache-2.0
"""The kill -9 log: what counts as a clean end. The kills themselves are in tests/integration/test_resume.py."""

from __future__ import annotations

from pathlib import Path

import kill_matrix
import pytest
from kill_bench.attempt import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "resume.md"

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


def published() -> str:
    return PAGE.read_text().split(kill_matrix.MARKERS[0])[1].split(kill_matrix.MARKERS[1])[0].strip()


SAID = {
    ("TaskRunner", "generation", 12.2): "ActorDiedError: The actor died unexpectedly before finishing this task. "
    "(TaskRunnerV1)",
    ("EngineCore", "weight sync", 77.6): "VLLM::EngineCore (process 4711) died, and the run had not ended 60 s later",
    ("RewardLoopWorker", "scoring", 11.0): "LostRollouts: step 3: 16 of 16 responses were lost: generation or scoring "
    "raised",
    ("raylet", "generation", 18.0): "ActorUnavailableError: The actor 2c0ffee5 is unavailable: The actor is "
    "temporarily unavailable: RpcError",
    ("raylet", "generation", 34.0): "ActorUnavailableError: The actor 2deadbee is unavailable: RPC error",
    ("gcs_server", "generation", 71.0): "gcs_server (process 12) died, and the run had not ended 60 s later",
}


def test_the_published_rows_are_what_the_log_of_their_kills_makes() -> None:
    outcomes = [
        outcome(victim=victim, moment=moment, ended_s=ended_s, message=said)
        for (victim, moment, ended_s), said in SAID.items()
    ]
    head, rule, *rows = kill_matrix._table(outcomes).splitlines()
    assert [head, rule] == published().splitlines()[:2]
    assert len(rows) == len(SAID) - 1  # the raylet was killed twice
    assert set(rows) <= set(published().splitlines())


def test_the_page_keeps_the_cases_that_a_log_has_not_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before {kill_matrix.MARKERS[0]}\n{published()}\n{kill_matrix.MARKERS[1]} after")
    text = page.read_text()
    kill_matrix._put(page, [])
    assert page.read_text() == text
    new = [outcome(victim="gcs_server", moment="generation", ended_s=65.0), outcome(victim="raylet", moment="commit")]
    kill_matrix._put(page, new)
    assert page.read_text() == text.replace(
        "| `gcs_server` | generation | 71 s | gcs_server (process …) died, and the run had not ended 60 s later |",
        "| `gcs_server` | generation | 65 s | nothing |",
    ).replace(f"\n{kill_matrix.MARKERS[1]}", f"\n| `raylet` | commit | 7 s | nothing |\n{kill_matrix.MARKERS[1]}")


def test_a_survivors_row_has_no_end_and_an_unclean_kill_says_so() -> None:
    *_, judge, hung = kill_matrix._table(
        [
            outcome(victim="JudgeActor", moment="scoring", status=130, checkpoint=5),
            outcome(victim="keeper", status=None, ended_s=300.0, message="a | b"),
        ]
    ).splitlines()
    assert judge.startswith("| `JudgeActor`, in code RL | scoring |  | nothing: another one took its place")
    assert hung == "| `keeper` | update | 300 s | a \\| b (**not clean**: status None, left: nothing) |"
