# SPDX-License-Identifier: Apache-2.0
"""What the tests of the judge on Ray share: problems whose programs take a known while, and Ray's environment."""

from __future__ import annotations

import pytest

from klear_verl.cpu import environment
from klear_verl.judge import Problem, StdioTest

TESTS = 4


@pytest.fixture(scope="module")
def ray_environment():
    """What `klear` sets before it starts Ray; also keeps Ray's processes few."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**environment.ALWAYS, "RAY_worker_niceness": "0"}.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def double():
    """Print twice the number read: four tests, 1 to 4."""
    return Problem(
        id="double", tests=tuple(StdioTest(input=f"{n}\n", output=f"{2 * n}\n") for n in range(1, 1 + TESTS))
    )


@pytest.fixture(scope="session")
def program():
    """A program that doubles the numbers up to `right`, after sleeping `sleep_s` in the first test."""

    def build(right=TESTS, sleep_s=0.0, note=""):
        sleep = f"if n == 1: import time; time.sleep({sleep_s})\n" if sleep_s else ""
        return f"# {note}\nn = int(input())\n{sleep}print(2 * n if n <= {right} else 'no')\n"

    return build
