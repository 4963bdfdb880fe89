# SPDX-License-Identifier: Apache-2.0
"""The judge's benchmark: what it computes from samples, and that its programs are what they say. Timing is not
tested.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from judge_bench import load_programs, plan, programs, soak_programs, tables, targets
from judge_bench.contestants.in_process import InProcess
from judge_bench.endless import EndlessRow
from judge_bench.growth import growth
from judge_bench.rounds import Results, Sample

CELL = plan.Cell("std", "right", 16, (("ours", 1), ("fork", 1)))
PLAN = plan.Plan((CELL,), 3, 0.1, 1.0, {"budget_cpu_s": 30.0}, False)


def results(ours: list[float], fork: list[float]) -> Results:
    def samples(rates: list[float]) -> list[Sample]:
        return [Sample(number, rate, 1) for number, rate in enumerate(rates)]

    return Results({CELL: {("ours", 1): samples(ours), ("fork", 1): samples(fork)}})


def test_ratio_is_the_median_of_the_ratios_within_rounds() -> None:
    # Within the rounds 1/5, 9/10 and 4/2. The ratio of the medians would be 4/5.
    assert results([1, 9, 4], [5, 10, 2]).ratio(CELL, ("ours", 1), ("fork", 1)) == 0.9


def test_ratio_uses_only_rounds_that_both_took_part_in() -> None:
    found = results([1, 4], [2, 5, 10])
    assert found.ratios(CELL, ("ours", 1), ("fork", 1)) == [0.5, 0.8]


def test_time_per_test_is_the_inverse_of_the_rate() -> None:
    assert results([250], [500]).ms(CELL, ("ours", 1)) == 4.0


@pytest.mark.parametrize(("ours", "met"), [(76.0, True), (74.0, False)])
def test_target_is_met_above_its_bound_and_missed_below(ours: float, met: bool) -> None:
    found = targets.evaluate(PLAN, results([ours], [100.0]), [])
    assert [target.met for target in found if target.bound == 0.75] == [met]


def test_target_without_samples_is_neither_met_nor_missed() -> None:
    found = targets.evaluate(PLAN, Results(), [])
    assert [target.met for target in found if target.bound == 0.75] == [None]


def test_endless_solution_may_cost_its_budget_and_one_percent() -> None:
    rows = [EndlessRow("ours", cpu_s, cpu_s, "") for cpu_s in (30.2, 30.4)]
    found = targets.evaluate(PLAN, Results(), rows)
    assert [target.met for target in found if target.at_most] == [True, False]


@pytest.mark.parametrize("imports", ["trivial", "std", "numpy"])
@pytest.mark.parametrize("behaviour", ["right", "wrong", "crashing", "uncompilable", "slow", "growing"])
def test_programs_pass_or_fail_as_they_say(imports: str, behaviour: str) -> None:
    case = programs.case(imports, behaviour, 4, loops=1)
    assert InProcess().judge(case, 0.0).accepted is case.accepted


def test_mix_has_its_proportions_in_every_half() -> None:
    mixed = programs.cases("std", "mixed", 4, loops=1)
    halves = [Counter(case.name for case in half) for half in (mixed[:10], mixed[10:])]
    assert [half["std/right"] for half in halves] == [5, 5]
    assert sum(halves, Counter()) == Counter({f"std/{name}": count for name, count in programs.MIX.items()})


def test_soak_shares_add_up_to_a_thousand() -> None:
    assert sum(program.share for program in soak_programs.PROGRAMS) == 1000


def test_load_solutions_are_sixty_of_distinct_names() -> None:
    assert len({solution.name for solution in load_programs.solutions()}) == 60


def test_growth_ignores_the_warm_up_and_single_peaks() -> None:
    assert growth([1, 5, 5, 5, 5, 5, 99, 5, 5, 5]) == 0


def test_growth_is_from_the_second_to_the_last_fifth() -> None:
    assert growth([0, 0, 1, 1, 2, 2, 3, 3, 4, 4]) == 3


def test_table_replaces_the_one_that_the_page_has(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- judge:begin -->\nold\n<!-- judge:end -->\nafter\n")
    tables.embed(page, "judge", "new \\1")
    assert page.read_text() == "before\n<!-- judge:begin -->\nnew \\1\n<!-- judge:end -->\nafter\n"


def test_page_without_a_place_for_the_table_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="judge:begin"):
        tables.embed(page, "judge", "new")


def test_ratio_far_below_one_reads_as_a_fraction() -> None:
    assert (tables.factor(0.02), tables.factor(0.5), tables.factor(1234.5)) == ("1/50", "0.5", "1234")
