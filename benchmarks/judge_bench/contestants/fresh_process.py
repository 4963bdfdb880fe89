# SPDX-License-Identifier: Apache-2.0
"""A fresh Python process per test: what most graders do.

The interpreter is that of a new, empty virtual environment; the packages of this one are on its PYTHONPATH. So it is an
ordinary start of Python, but does not pay for what happens to be installed here (every .pth file with code costs
milliseconds). `plain` uses this interpreter as it is. Isolation: resource limits, nothing else.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from ..programs import Case
from . import Done, same_lines

CPU_S, WALL_S, MEMORY_MIB = 4, 6, 2048


class FreshProcess:
    """Runs every test with `subprocess.run`, or every `stride`th, since each costs the same. Between tests it stops at
    the deadline.

    Args:
        plain: this interpreter instead of that of an empty environment.
    """

    def __init__(self, plain: bool = False):
        self._folder = tempfile.TemporaryDirectory(prefix="fresh-")
        root = Path(self._folder.name)
        self._program = root / "program.py"
        self._python = sys.executable
        self._environment = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
        if not plain:
            venv.create(root / "venv", symlinks=True)
            self._python = str(root / "venv" / "bin" / "python")
            self._environment["PYTHONPATH"] = sysconfig.get_path("purelib")
        self.stride = 1

    def judge(self, case: Case, deadline: float) -> Done:
        self._program.write_text(case.source)
        run, accepted = 0, True
        tests = case.problem.tests[:: self.stride]
        for test in tests:
            accepted &= self._passes(test.input, test.output)
            run += 1
            if time.perf_counter() >= deadline:
                break
        return Done(run, accepted if run == len(tests) else None)

    def _passes(self, stdin: str, expected: str) -> bool:
        try:
            done = subprocess.run(
                [self._python, str(self._program)],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=WALL_S,
                preexec_fn=_limit,
                env=self._environment,
                cwd=self._folder.name,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0 and same_lines(done.stdout, expected)

    def facts(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        self._folder.cleanup()


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MIB << 20, MEMORY_MIB << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
