# SPDX-License-Identifier: Apache-2.0
"""`klear doctor`: runs the checks, the slow ones side by side, and prints the report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from klear_verl.cpu import environment
from klear_verl.doctor import machine, probes
from klear_verl.doctor.finding import Finding, as_json, from_error, render
from klear_verl.errors import KlearError

Check = Callable[[], "Finding | list[Finding]"]


def main(argv: list[str] | None = None) -> int:
    """Entry point of `klear doctor`; returns 0 only if nothing FAILs."""
    parser = argparse.ArgumentParser(prog="klear doctor", description=__doc__)
    parser.add_argument("--recipe", metavar="NAME", help="also compose this recipe and check it as a run would")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides for --recipe")
    options = parser.parse_args(argv)
    if options.overrides and not options.recipe:
        parser.error("overrides need --recipe NAME")
    findings = machine_findings()
    if options.recipe:
        environment.apply()
        findings += recipe_findings(options.recipe, options.overrides)
    print(as_json(findings) if options.json else render(findings))
    return int(any(finding.status == "FAIL" for finding in findings))


def machine_findings() -> list[Finding]:
    """All checks that need no recipe, in the order of the report."""
    checks: list[Check] = [
        lambda: machine.check_packages(environment.on_cpu()),
        machine.check_entry_points,
        probes.check_plugin,
        probes.check_vllm,
        probes.check_judge,
        probes.check_math,
        machine.check_memory,
        machine.check_shared_memory,
        machine.check_disk,
        machine.check_leftovers,
        machine.check_ray,
    ]
    with ThreadPoolExecutor(max_workers=2) as pool:
        return [finding for found in pool.map(_guarded, checks) for finding in found]


def recipe_findings(recipe: str, overrides: list[str]) -> list[Finding]:
    """Composes a recipe, runs the preflight of its kind on it, and estimates what it takes."""
    from klear_verl.launch.compose import compose
    from klear_verl.launch.estimate import estimate_lines
    from klear_verl.launch.preflight.run import rl_problems, sft_problems
    from klear_verl.launch.recipes import find_recipe, recipe_kind

    name = f"recipe {recipe}"
    try:
        kind: Literal["rl", "sft"] = "sft" if recipe_kind(find_recipe(recipe)) == "sft" else "rl"
        cfg = compose(recipe, overrides, kind=kind)
    except KlearError as error:
        return [from_error(name, error)]
    problems, notes = sft_problems(cfg) if kind == "sft" else rl_problems(cfg)
    findings = [from_error(name, problem) for problem in problems]
    findings += [Finding(name, "warn", note) for note in notes]
    if problems:
        return findings
    if not notes:
        findings.append(Finding(name, "ok", f"composes; model, data, batches, memory and Ray are fine ({kind})"))
    return findings + [Finding(name, "ok", line) for line in estimate_lines(kind, cfg)]


def _guarded(check: Check) -> list[Finding]:
    try:
        found = check()
    except Exception as error:  # one broken check must not hide the others; its own failure is a finding
        name = getattr(check, "__name__", "packages").removeprefix("check_")
        print(f"klear doctor: the check '{name}' failed: {error!r}", file=sys.stderr)
        return [Finding(name, "FAIL", f"the check itself failed: {type(error).__name__}: {error}", "report this")]
    return [found] if isinstance(found, Finding) else found
