# SPDX-License-Identifier: Apache-2.0
"""Which environment variables our commands set, and when they leave them alone."""

import os
import re
import subprocess
import sys

import pytest

from klear_verl.cpu import environment


@pytest.fixture
def machine(monkeypatch):
    """An environment without any of our variables, on a machine with or without an accelerator."""
    for name in environment.ALWAYS | environment.CPU_ONLY:
        monkeypatch.delenv(name, raising=False)

    def with_accelerator(answer):
        # A machine is one of the two; and this process's environment must stay as it is.
        monkeypatch.setattr(environment, "has_accelerator", lambda: answer)
        monkeypatch.setattr(os, "environ", dict(os.environ))
        return os.environ

    return with_accelerator


def test_without_an_accelerator_the_cpu_platform_is_chosen(machine):
    variables = machine(False)
    environment.apply()
    assert variables["VERL_PLATFORM"] == "cpu"
    assert variables["OMP_NUM_THREADS"] == "1"


def test_with_an_accelerator_nothing_about_the_cpu_is_set(machine):
    variables = machine(True)
    environment.apply()
    assert not set(environment.CPU_ONLY) & set(variables)


def test_our_plugin_is_loaded_where_a_failure_is_loud_on_either_machine(machine):
    for answer in (True, False):
        machine(answer)
        assert environment.variables()["VERL_USE_EXTERNAL_MODULES"] == "klear_verl.plugin"


def test_what_the_user_set_wins(machine):
    variables = machine(False)
    variables["OMP_NUM_THREADS"] = "7"
    variables["RAY_AUTH_MODE"] = "token"
    environment.apply()
    assert (variables["OMP_NUM_THREADS"], variables["RAY_AUTH_MODE"]) == ("7", "token")


def test_modules_that_the_user_names_for_verl_come_beside_our_plugin(machine):
    variables = machine(True)
    variables["VERL_USE_EXTERNAL_MODULES"] = "my_loss"
    environment.apply()
    environment.apply()
    assert variables["VERL_USE_EXTERNAL_MODULES"] == "klear_verl.plugin,my_loss"


@pytest.mark.parametrize(("asked", "cpu"), [("cpu", True), (" CPU ", True), ("nvidia", False), ("", False)])
def test_verl_platform_decides_over_the_machine_unless_empty(machine, asked, cpu):
    machine(True)["VERL_PLATFORM"] = asked
    assert environment.on_cpu() is cpu


def test_an_empty_verl_platform_on_a_machine_without_accelerator_means_cpu(machine):
    machine(False)["VERL_PLATFORM"] = ""
    assert environment.on_cpu()


def test_every_value_can_be_handed_to_a_process(machine):
    machine(False)
    code = "import os; print('\\n'.join(f'{k}={v}' for k, v in os.environ.items()))"
    variables = environment.variables()
    shown = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert all(re.search(f"^{name}={re.escape(value)}$", shown.stdout, re.M) for name, value in variables.items())
