# SPDX-License-Identifier: Apache-2.0
"""The table of gradient comparisons: for every case of `tests/trainer/gradients`, how far the gradient that verl's
workers hand to the optimizer is from the reference's, in one run.

The figure is max |g - r| / max |r| of a parameter's gradient g and its reference r, the largest of all parameters. It
takes three minutes of processor time, and measures exactness, not time. With a GPU it adds the cases that run on one.

    python benchmarks/gradient_table.py --markdown docs/gradients.md
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from judge_bench.tables import embed, table

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the package `tests` is

from tests.trainer.gradients import gradient_cases as cases
from tests.trainer.gradients import reference
from tests.trainer.gradients.gradient_cases import Case
from tests.trainer.gradients.gradient_runs import Runs, largest_difference


def groups() -> dict[str, list[Case]]:
    """What the rows of the summary are made of."""
    sharded = list(cases.sharding())
    found: dict[str, list[Case]] = {
        f"{size} rank{'s' * (size > 1)}, {strategy}, {'packed' if packed else 'padded'} sequences": [
            case for case in sharded if case.engine == cases.Engine(size, strategy, packed)
        ]
        for size in (1, 2)
        for strategy in cases.STRATEGIES
        for packed in (True, False)
    }
    found |= {
        "Ulysses: one sequence over two ranks": list(cases.ulysses()),
        "correct responses: on one rank, one alone, none": list(cases.positives()),
        "a rank with nothing but padding": list(cases.mostly_padding()),
        "tied embeddings": list(cases.tied_embeddings()),
        "no token clipped, every loss": list(cases.calm()),
    }
    for name, objective in cases.OBJECTIVES.items():
        for agg in ("token-mean", "seq-mean-token-mean"):
            own = {replace(objective, alpha=alpha, agg=agg) for alpha in (0.0, 0.1)}
            found[f"{name}, {agg}, α = 0 and 0.1"] = [case for case in cases.objectives() if case.objective in own]
    found["masked responses, masked tokens and padding"] = list(cases.influence())
    found["two mini-batches, in the trainer's order"] = list(cases.whole_steps())
    found["weights after two clipped AdamW steps"] = list(cases.updates())
    for dtype in ("float32", "bfloat16"):
        found[f"{dtype}, against float64"] = [case for case in cases.precisions() if case.engine.dtype == dtype]
    if torch.cuda.is_available():
        for dtype in ("float32", "bfloat16"):
            on_gpu = [case for case in cases.on_a_gpu() if case.engine.dtype == dtype]
            found[f"{dtype} on {torch.cuda.get_device_name()}, against float64"] = on_gpu
    return found


def difference(runs: Runs, case: Case) -> float:
    """Of all mini-batches of a case, or of the weights where it takes the optimizer's steps."""
    expected = [result.gradient for result in runs.reference(case)]
    if case.update:
        rows = runs.rows(case.batch)
        mini_batches = [[row for row in rows if row.mini_batch == number] for number in range(len(expected))]
        expected = [reference.updated(runs.models[case.engine.tied], mini_batches, case.objective, cases.LR)[0]]
    return max(largest_difference(*pair) for pair in zip(runs[case].tensors, expected, strict=True))


def changed_elements(runs: Runs, contents: str) -> int:
    """How many elements of any gradient differ, in any bit, once what does not train has other contents."""
    count = 0
    for case in cases.influence():
        if contents == "finite" or case.objective.mode == "gppo":
            before, after = (runs[own].tensors[0] for own in (case, cases.with_contents(case, contents)))
            count += sum(int((before[name] != after[name]).sum()) for name in before)
    return count


def summary(runs: Runs, grouped: dict[str, list[Case]]) -> str:
    """A row per group."""
    rows = [
        [title, str(len(own)), f"{max(difference(runs, case) for case in own):.1e}"] for title, own in grouped.items()
    ]
    return table(["compared", "cases", "largest difference"], rows)


def influence(runs: Runs) -> str:
    """What other contents change, and what planted faults change."""
    rows = [
        ["other tokens, advantages, log-probabilities, entropies", f"{changed_elements(runs, 'finite')} elements"],
        ["NaN and ±∞ in their place (GPPO)", f"{changed_elements(runs, 'non_finite')} elements"],
    ]
    rows += [[f"fault: {case.mutant.replace('_', ' ')}", f"{difference(runs, case):.1e}"] for case in cases.faults()]
    rows.append(["fault: Ulysses without flash attention", f"{difference(runs, cases.ULYSSES_WITHOUT_FLASH):.1e}"])
    return table(["changed", "gradient changes by"], rows)


def every_case(runs: Runs, some: Iterable[Case]) -> str:
    """A row per case."""
    rows = [[f"`{case.name}`", f"{difference(runs, case):.1e}"] for case in dict.fromkeys(some)]
    return table(["case", "difference"], rows)


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", type=Path, help="page whose tables to replace; without it they are printed alone")
    page = parser.parse_args().markdown
    torch.set_num_threads(1)
    grouped = groups()
    chosen = [*cases.on_the_cpu(), *(case for own in grouped.values() for case in own)]
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Path(folder), chosen)
    tables = {
        "summary": summary(runs, grouped),
        "influence": influence(runs),
        "cases": every_case(runs, (case for own in grouped.values() for case in own)),
    }
    for name, text in tables.items():
        print(f"{text}\n")
        if page:
            embed(page, name, text)


if __name__ == "__main__":
    main()
