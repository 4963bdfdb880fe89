# SPDX-License-Identifier: Apache-2.0
"""The tables of the page: runs, held-out figures, versions, configuration, samples. Plain strings; no HTML here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from klear_verl.report.held_out import STAGES, HeldOutBenchmark
from klear_verl.report.schema import REWARD, StageSummary, TrainingRun
from klear_verl.report.seeds import Stage
from klear_verl.report.sources import Material

MISSING = "—"
EDGE = 3
SAMPLES, SAMPLE_CHARS = 6, 2000


@dataclass(frozen=True)
class Table:
    """Column heads and rows of text; the first column names the row."""

    head: list[str]
    rows: list[list[str]]


def first_last(run: TrainingRun) -> tuple[float, float] | None:
    """Mean of the first and of the last `EDGE` logged steps: reward for RL, training loss for SFT."""
    names = ("train/loss",) if run.kind == "sft" else REWARD
    values = list(run.metrics.get(*names).values())
    if not values:
        return None
    return sum(values[:EDGE]) / len(values[:EDGE]), sum(values[-EDGE:]) / len(values[-EDGE:])


def runs(stages: Sequence[Stage]) -> Table:
    """One row per run: what, seed, status, steps, time, and how the reward or the loss moved."""
    head = ["run", "recipe", "seed", "status", "steps", "wall time", "first → last"]
    rows = []
    for stage in stages:
        for label, run in ((label, run) for label, members in stage.lines for run in members):
            ends = first_last(run)
            what = "loss" if run.kind == "sft" else "reward"
            rows.append(
                [
                    stage.title if len(stage.lines) == 1 else f"{stage.title}: {label}",
                    run.recipe,
                    _text(run.info.seed if run.info else None),
                    run.info.status if run.info else "unknown",
                    str(run.metrics.last_step or (run.info.steps if run.info else 0)),
                    duration(run.info.wall_s if run.info else None),
                    f"{what} {number(ends[0])} → {number(ends[1])}" if ends else MISSING,
                ]
            )
    return Table(head, rows)


def summaries(stages: dict[str, StageSummary]) -> Table:
    """A quickstart's own summary, where its runs themselves were not given."""
    rows = []
    for name, stage in stages.items():
        reward = stage.reward_first is not None
        ends = (stage.reward_first, stage.reward_last) if reward else (stage.loss_first, stage.loss_last)
        first, last = (number(end) if end is not None else MISSING for end in ends)
        rows.append(
            [name, str(stage.steps), duration(stage.wall_s), f"{'reward' if reward else 'loss'} {first} → {last}"]
        )
    return Table(["stage", "steps", "wall time", "first → last"], rows)


def held_out(benchmarks: Sequence[HeldOutBenchmark]) -> Table:
    """The figures behind the held-out pictures, one row per evaluation."""
    head = ["benchmark", "model", "avg@n", "95 % interval", "pass@k", "tests passed", "truncated", "ungraded", "tokens"]
    rows = []
    for benchmark in benchmarks:
        for model in benchmark.models:
            for result in benchmark.by_model[model]:
                interval = result.avg_at_n_ci95
                rows.append(
                    [
                        benchmark.name,
                        STAGES.get(model, model),
                        percent(result.avg_at_n),
                        f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %" if interval else MISSING,
                        ", ".join(f"@{k} {percent(rate)}" for k, rate in result.pass_at_k.items()) or MISSING,
                        percent(result.pass_rate),
                        str(result.truncated),
                        str(result.ungraded),
                        f"{result.mean_tokens:.0f}" if result.mean_tokens is not None else MISSING,
                    ]
                )
    return Table(head, rows)


def versions(material: Material) -> Table:
    """Package versions; where sources disagree, all that were seen."""
    seen: dict[str, dict[str, None]] = {}
    everywhere = [run.info.versions for run in material.all_runs if run.info]
    everywhere += [evaluation.versions for evaluation in material.evaluations]
    everywhere += [quickstart.summary.versions for quickstart in material.quickstarts]
    for found in everywhere:
        for package, version in found.items():
            seen.setdefault(package, {})[str(version)] = None
    return Table(["package", "version"], [[package, ", ".join(seen[package])] for package in sorted(seen)])


_ACTOR = "actor_rollout_ref.actor"
_ROLLOUT = "actor_rollout_ref.rollout"
_KEYS = (
    "actor_rollout_ref.model.path",
    "model.path",
    "algorithm.adv_estimator",
    *(f"{_ACTOR}.policy_loss.{key}" for key in ("loss_mode", "beta1", "beta2", "dual_clip", "positive_lm_coef")),
    *(f"{_ACTOR}.{key}" for key in ("clip_ratio_low", "clip_ratio_high", "clip_ratio_c", "loss_agg_mode")),
    *(f"{_ACTOR}.{key}" for key in ("use_kl_loss", "entropy_coeff", "ppo_mini_batch_size", "optim.lr")),
    "optim.lr",
    "optim.min_lr_ratio",
    "data.train_batch_size",
    "data.max_prompt_length",
    "data.max_response_length",
    "data.max_length",
    *(f"{_ROLLOUT}.{key}" for key in ("n", "temperature", "top_p", "dtype")),
    "trainer.v1.trainer_mode",
    "trainer.total_epochs",
    "trainer.total_training_steps",
)
_NODES = ("reward.reward_kwargs.klear", "klear")


def configuration(stages: Sequence[Stage]) -> Table:
    """The options that decide a run, one column per curve; `config.yaml` has all of them."""
    columns: dict[str, dict[str, str]] = {}
    for stage in stages:
        for label, members in stage.lines:
            config = next((run.config for run in members if run.config is not None), None)
            if config is not None:
                title = stage.title if len(stage.lines) == 1 else f"{stage.title}: {label}"
                columns[title] = _options(config)
    keys = list(dict.fromkeys(key for options in columns.values() for key in options))
    rows = [[key, *(options.get(key, MISSING) for options in columns.values())] for key in keys]
    return Table(["option", *columns], rows)


def _options(config: DictConfig) -> dict[str, str]:
    chosen = list(_KEYS)
    for node in _NODES:
        chosen += _leaves(OmegaConf.select(config, node, throw_on_resolution_failure=False), node)
    values: dict[str, Any] = {key: OmegaConf.select(config, key, throw_on_resolution_failure=False) for key in chosen}
    shown = {key: _placeless(value) for key, value in values.items() if value is not None}
    return {key: value if len(value) <= 60 else value[:57] + "…" for key, value in shown.items()}


def _placeless(value: Any) -> str:
    # Where things lie on one machine says nothing to a reader of the report, and may say too much.
    return Path(str(value)).name if str(value).startswith(("/", "~", "./", "../")) else str(value)


def _leaves(node: Any, prefix: str) -> list[str]:
    if not isinstance(node, DictConfig):
        return []
    found = []
    for key in map(str, node):
        child = OmegaConf.select(node, key, throw_on_resolution_failure=False)
        found += _leaves(child, f"{prefix}.{key}") if isinstance(child, DictConfig) else [f"{prefix}.{key}"]
    return found


@dataclass(frozen=True)
class Sample:
    """One response to look at."""

    about: str
    prompt: str
    response: str


def samples(rows: Sequence[dict[str, Any]]) -> list[Sample]:
    """At most `SAMPLES` rows, spread evenly; {"prompt", "response", "score"}, or as verl dumps rollouts."""
    stride = max(1, -(-len(rows) // SAMPLES))
    shown = []
    for row in rows[::stride]:
        facts = [
            f"{key.replace('_', ' ')} {row[key]}" for key in ("stage", "step", "data_source", "score") if key in row
        ]
        prompt, response = row.get("prompt", row.get("input", "")), row.get("response", row.get("output", ""))
        shown.append(Sample(" · ".join(facts), _cut(prompt), _cut(response)))
    return shown


def _cut(text: Any) -> str:
    text = str(text)
    return (
        text if len(text) <= SAMPLE_CHARS else f"{text[:SAMPLE_CHARS]} … ({len(text) - SAMPLE_CHARS} more characters)"
    )


def number(value: float) -> str:
    """Three significant digits, without an exponent where possible."""
    return f"{value:.3g}".replace("-", "−")


def percent(rate: float | None) -> str:
    """A fraction as a percentage."""
    return MISSING if rate is None else f"{100 * rate:.1f} %"


def duration(seconds: float | None) -> str:
    """Seconds as `45 s`, `3 min 05 s` or `2 h 10 min`."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _text(value: object) -> str:
    return MISSING if value is None else str(value)
