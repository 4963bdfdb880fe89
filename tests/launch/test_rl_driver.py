# SPDX-License-Identifier: Apache-2.0
"""What the driver writes down when a run fails. Ray's own wrapping of errors, without a cluster."""

import signal
import subprocess

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from klear_verl.errors import DataError
from klear_verl.launch.rl_driver import starting_ray_again, write_down
from klear_verl.launch.run_dir import RunDir


def as_ray_raises(error, hops=1):
    """As `ray.get` raises it after so many actors have passed it on."""
    for _ in range(hops):
        error = RayTaskError("run", "Traceback (most recent call last): …", error).as_instanceof_cause()
    return error


@pytest.fixture
def said(tmp_path):
    def say(error):
        write_down(error, RunDir(tmp_path))
        return (tmp_path / "error.txt").read_text()

    return say


@pytest.mark.parametrize("hops", [0, 1, 2])
def test_an_error_of_ours_is_written_down_as_itself_however_often_ray_has_passed_it_on(said, hops):
    assert said(as_ray_raises(DataError("row 3 is empty", "remove it"), hops)) == (
        "DataError: row 3 is empty\n  remedy: remove it\n"
    )


@pytest.mark.parametrize("hops", [0, 1, 2])
def test_so_is_any_other_error(said, hops):
    assert said(as_ray_raises(KeyError("no such field"), hops)) == "KeyError: 'no such field'\n"


def test_an_error_raised_while_handling_another_gives_way_to_its_cause(said):
    error = RuntimeError("could not generate")
    error.__cause__ = ValueError("empty prompt")
    assert said(error) == "ValueError: empty prompt\n"


def test_an_error_of_ours_stands_before_its_cause(said):
    error = DataError("row 3 is empty")
    error.__cause__ = KeyError("prompt")
    assert said(error) == "DataError: row 3 is empty\n"


def test_a_dead_actor_is_said_to_be_dead(said):
    assert said(ActorDiedError()).startswith("ActorDiedError: The actor died")


def slow_ray(starts):
    """A training that finds Ray too slow so many times, and the list of its attempts."""
    attempts = []

    def train():
        attempts.append(subprocess.Popen(["sleep", "60"]))
        if len(attempts) <= starts:
            raise Exception("The current node timed out during startup. This could happen because …")

    return train, attempts


def test_ray_that_is_slow_to_come_up_is_started_again_and_leaves_no_process():
    train, attempts = slow_ray(2)
    starting_ray_again(train)
    assert [process.wait(timeout=120) for process in attempts[:2]] == [-signal.SIGKILL] * 2
    assert attempts[2].poll() is None
    attempts[2].kill()


def test_ray_that_never_comes_up_is_given_up_after_three_starts():
    train, attempts = slow_ray(9)
    with pytest.raises(Exception, match="timed out during startup"):
        starting_ray_again(train)
    assert len(attempts) == 3
    attempts[2].kill()


def test_another_failure_is_not_tried_again():
    attempts = []

    def train():
        attempts.append(1)
        raise RuntimeError("The current node timed out during startup, says somebody else")

    with pytest.raises(RuntimeError):
        starting_ray_again(train)
    assert attempts == [1]
