# SPDX-License-Identifier: Apache-2.0
"""What `from klear_verl.judge import …` gives, and what it must not load."""

from __future__ import annotations

import subprocess
import sys

import klear_verl.judge as room


def test_every_name_that_users_import_is_there() -> None:
    assert {name for name in room.__all__ if not hasattr(room, name)} == set()


def test_importing_the_judge_loads_neither_torch_nor_ray_nor_verl() -> None:
    heavy = ["torch", "ray", "verl", "vllm", "transformers", "numpy"]
    code = f"import sys, klear_verl.judge\nprint(sorted(set({heavy}) & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"
