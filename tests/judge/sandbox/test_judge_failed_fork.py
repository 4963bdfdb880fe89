# SPDX-License-Identifier: Apache-2.0
"""A zygote whose fork failed for want of processes serves the next solution."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from klear_verl.judge import Limits
from klear_verl.judge.sandbox.cgroup import Cgroup, NoCgroup
from klear_verl.judge.sandbox.layers import zygote_setup
from klear_verl.judge.sandbox.session import RunInput, Session
from klear_verl.judge.sandbox.supervisor import SandboxFailure, Zygote

LIMITS = Limits().for_run()


@pytest.fixture
def group() -> Iterator[Cgroup]:
    try:
        cgroup = Cgroup("auto", memory_mib=4096, processes=100)
    except NoCgroup as error:
        pytest.skip(f"no control group here: {error}")
    yield cgroup
    cgroup.close()


def allow(group: Cgroup, processes: int) -> None:
    for folder in group._folders:
        if (folder / "pids.max").exists():
            (folder / "pids.max").write_text(str(processes))


def test_failed_fork_costs_one_solution_only(group: Cgroup) -> None:
    zygote = Zygote(zygote_setup(), group)
    try:
        zygote.start()
        allow(group, 1)
        with pytest.raises(SandboxFailure, match="no process for a solution"):
            Session(zygote, b"print(1)", LIMITS, 1.0)
        allow(group, 100)
        with Session(zygote, b"print(1)", LIMITS, 1.0) as session:
            assert session.run(RunInput(), LIMITS).stdout == b"1\n"
    finally:
        zygote.close()
