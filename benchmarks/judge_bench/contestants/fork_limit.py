# SPDX-License-Identifier: Apache-2.0
"""The limit: forking a child that exits at once, from a process with the modules of our zygote loaded and frozen.

It runs no program and judges nothing; no judge with a process per test can be faster.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import psutil

from klear_verl.judge import JudgeConfig
from klear_verl.judge.sandbox import layers
from klear_verl.judge.sandbox.supervisor import ENVIRONMENT

from ..programs import Case
from . import Done


class ForkLimit:
    """Args:
    mode: "os" or "libc"; see `limit_zygote.py`.
    """

    def __init__(self, mode: str):
        self._mode = mode
        self._zygotes: dict[str, subprocess.Popen[str]] = {}

    def judge(self, case: Case, deadline: float) -> Done:
        zygote = self._zygote(case.name.partition("/")[0])
        assert zygote.stdin is not None and zygote.stdout is not None
        zygote.stdin.write(f"{self._mode} {max(0.0, deadline - time.perf_counter())}\n")
        zygote.stdin.flush()
        forks, _ = zygote.stdout.readline().split()
        return Done(int(forks), None)

    def _zygote(self, imports: str) -> subprocess.Popen[str]:
        if imports not in self._zygotes:
            setup = {"site": [sysconfig.get_path("purelib")], "preload": preload(imports)}
            script = str(Path(__file__).with_name("limit_zygote.py"))
            zygote = subprocess.Popen(
                [sys.executable, "-P", "-s", "-S", "-B", script, json.dumps(setup)],
                env=ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert zygote.stdout is not None
            if zygote.stdout.readline() != "ready\n":
                raise RuntimeError(f"the bare zygote for {imports} does not start")
            self._zygotes[imports] = zygote
        return self._zygotes[imports]

    def facts(self) -> dict[str, Any]:
        return {"rss_mib": {name: psutil.Process(z.pid).memory_info().rss / 2**20 for name, z in self._zygotes.items()}}

    def close(self) -> None:
        for zygote in self._zygotes.values():
            assert zygote.stdin is not None
            zygote.stdin.close()
            zygote.wait()


def preload(imports: str) -> list[str]:
    """What our zygote for such programs has loaded."""
    return [*layers.PRELOAD, *JudgeConfig().tiers.get(imports, ())]
