# SPDX-License-Identifier: Apache-2.0
"""The pictures of training: one function per question a person asks of a run. None is drawn without its metric.

First what a run achieves and costs; then what the method does between rollout and gradient: which rollouts train, which
tokens are clipped and what that does, and whether rollout and trainer agree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from klear_verl.report.drawing import (
    ALARM,
    PALETTE,
    Chart,
    Line,
    Panel,
    chart,
    figure,
    legend_above,
    looks,
    slug,
    step_axis,
    to_svg,
)
from klear_verl.report.schema import REWARD
from klear_verl.report.seeds import Curve, Stage, band


def reward(stage: Stage) -> Chart | None:
    """Mean reward per step; and before penalties, where there were any."""
    lines = [Line("reward", REWARD)]
    text = "Mean score of all responses sampled at a step: rising means that more of them earn their reward."
    if _differs(stage, "klear/task_score", "klear/reward"):
        lines.append(Line("before penalties", ("klear/task_score",), colour=PALETTE[5]))
        text += " Before penalties: the task score, by which groups are chosen by default."
    return chart(stage, "Reward", text, [Panel("mean reward (score units)", tuple(lines))])


def correctness(stage: Stage) -> Chart | None:
    """Share of sampled responses that are right, and of tests passed."""
    lines = [percent("entirely correct", "klear/acc")]
    # Where there are no tests (math), the pass rate repeats the accuracy.
    if _differs(stage, "klear/pass_rate", "klear/acc"):
        lines.append(percent("tests passed", "klear/pass_rate"))
    text = "Share of sampled responses whose answer is entirely correct, and (for code) of tests passed."
    return chart(stage, "Correct responses", text, [Panel("share (%)", tuple(lines), from_zero=True)])


def by_source(stage: Stage) -> Chart | None:
    """Rewards and correctness of each data source; with a single source there is nothing to tell apart."""
    sources = sorted({n.rsplit("/", 1)[0] for run in stage.runs for n in run.metrics.with_prefix("klear/source/")})
    if len(sources) < 2:
        return None

    def panel(ylabel: str, name: str, scale: float = 1.0) -> Panel:
        lines = tuple(Line(source, (f"klear/source/{source}/{name}",), scale) for source in sources)
        return Panel(ylabel, lines, from_zero=scale != 1.0)

    def repeats(name: str, other: str) -> bool:
        return not any(_differs(stage, f"klear/source/{it}/{name}", f"klear/source/{it}/{other}") for it in sources)

    panels = [panel("mean reward", "reward")]
    if not repeats("task_score", "reward"):
        panels.append(panel("mean task score", "task_score"))
    panels.append(panel("correct (%)", "acc", 100.0))
    if not repeats("pass_rate", "acc"):
        panels.append(panel("tests passed (%)", "pass_rate", 100.0))
    text = (
        "Of each data source: mean reward, mean score before penalties, share of correct responses, share of tests "
        "passed (where there are no tests, of correct responses). A panel that would repeat another is left out."
    )
    return chart(stage, "By data source", text, panels)


def _differs(stage: Stage, name: str, other: str) -> bool:
    """Whether the metric `name`, where it was logged, ever says something else than `other`."""
    return any(values != run.metrics.get(other) for run in stage.runs if (values := run.metrics.get(name)))


def validation(stage: Stage) -> Chart | None:
    """verl's own validation during the run."""
    names = sorted({n for run in stage.runs for n in run.metrics.with_prefix("val-core/") if "/mean@" in n})
    lines = tuple(Line(name, (f"val-core/{name}",)) for name in names)
    text = "verl's validation score on rows that are not trained on; higher is better."
    return chart(stage, "Validation during training", text, [Panel("score", lines)])


def lengths(stage: Stage) -> Chart | None:
    """Response length, and how many were cut off."""
    panels = [
        Panel(
            "mean length (tokens)",
            (Line("mean length", ("klear/response_tokens", "response_length/mean")),),
            from_zero=True,
        ),
        Panel("cut off (%)", (percent("cut off", "klear/overlong", colour=PALETTE[1]),), from_zero=True),
    ]
    text = "Mean response length, and the share cut off by the length limit: a cut-off response has no answer."
    return chart(stage, "Response length and truncation", text, panels)


def scoring(stage: Stage) -> Chart | None:
    """Responses without a usable answer, and responses that our own machinery failed to score."""
    lines = (
        Line("malformed", ("klear/malformed",)),
        Line("ungraded", ("klear/ungraded",), colour=ALARM),
        Line("lost", ("klear/lost_rollouts",), colour=PALETTE[4]),
    )
    text = (
        "Malformed: no usable answer, the model's doing. Ungraded (could not be scored) and lost (generating or "
        "scoring raised an error) are faults of the machinery: both must stay at 0."
    )
    panels = [Panel("responses per step", lines, from_zero=True, smoothed=False)]
    return chart(stage, "Malformed, ungraded and lost responses", text, panels)


def judging(stage: Stage) -> Chart | None:
    """What the judge saw of the programs, and how long they took it."""
    verdicts = {
        "wrong answer": ("wa", PALETTE[0]),
        "time limit": ("tle", PALETTE[1]),
        "runtime error": ("re", PALETTE[2]),
        "compile error": ("ce", PALETTE[3]),
        "memory limit": ("mle", PALETTE[4]),
        "output limit": ("ole", PALETTE[5]),
    }
    seconds = (
        Line("waiting, 95 %", ("klear/judge/queue_s/p95",), colour=PALETTE[6]),
        Line("running, 95 %", ("klear/judge/exec_s/p95",), colour=PALETTE[7]),
    )
    faults = (
        Line("repeated", ("klear/judge/retries",), colour=PALETTE[4]),
        Line("not judged", ("klear/judge/ie",), colour=ALARM),
    )
    panels = [
        Panel(
            "failed tests (%)",
            tuple(percent(words, f"klear/judge/verdict/{name}", colour) for words, (name, colour) in verdicts.items()),
            from_zero=True,
        ),
        Panel("time (s)", seconds, from_zero=True),
        Panel("runs per step", faults, from_zero=True, smoothed=False),
    ]
    text = (
        "Why tests failed, as a share of all tests; how long 95 % of the programs waited and ran at most; runs that "
        "were repeated, and programs that could not be judged, both through faults of the machinery."
    )
    return chart(stage, "The judge", text, panels)


def sft_loss(stage: Stage) -> Chart | None:
    """Loss of SFT, with learning rate and gradient norm."""
    loss = (Line("training", ("train/loss",)), Line("validation", ("val/loss",)))
    panels = [
        Panel("loss (nats per token)", loss),
        Panel("learning rate", (Line("rate", ("train/lr",), colour=PALETTE[4]),), from_zero=True, smoothed=False),
        Panel("gradient norm", (Line("gradient norm", ("train/grad_norm",), colour=PALETTE[2]),), from_zero=True),
    ]
    text = "Falling: the model imitates the solutions better. A validation loss that rises again means overfitting."
    return chart(stage, "Loss", text, panels)


# What verl's v1 trainer times (timing_s/…); all but validation lie inside timing_s/step.
_TIMES = {
    "gen": "generation",
    "reward": "rewards (exposed)",
    "old_log_prob": "old log-probs",
    "ref": "reference log-probs",
    "values": "values",
    "adv": "advantages",
    "update_critic": "critic update",
    "update_actor": "actor update",
    "update_weights": "weight sync",
    "save_checkpoint": "checkpoint",
}


def step_time(stage: Stage) -> Chart | None:
    """Where the seconds of a step go, stacked; mean over all runs of the stage."""

    def mean_of(name: str) -> Curve | None:
        return band(name, [run.metrics.get(f"timing_s/{name}") for run in stage.runs])

    whole = mean_of("step")
    if whole is None:
        return None

    def on_steps(curve: Curve) -> NDArray[np.float64]:
        seconds = dict(zip(curve.steps, curve.mean, strict=True))
        return np.array([seconds.get(step, 0.0) for step in whole.steps])

    layers = {label: on_steps(curve) for name, label in _TIMES.items() if (curve := mean_of(name))}
    layers["other"] = np.clip(whole.mean - sum(layers.values(), np.zeros_like(whole.mean)), 0, None)
    if outside := mean_of("testing"):
        layers["validation"] = on_steps(outside)
    layers = {label: seconds for label, seconds in layers.items() if seconds.sum() > 0.005 * whole.mean.sum()}
    with looks():
        fig, (ax,) = figure(extra=0.3)
        base = np.zeros_like(whole.mean)
        width = 0.85 * float(np.diff(whole.steps).min()) if len(whole.steps) > 1 else 0.85
        for colour, (label, seconds) in zip(PALETTE, layers.items(), strict=False):
            share = f"{label} {100 * seconds.sum() / sum(s.sum() for s in layers.values()):.0f} %"
            ax.bar(whole.steps, seconds, width, bottom=base, color=colour, label=share, linewidth=0)
            base = base + seconds
        ax.set_ylabel("time per step (s)")
        step_axis(ax)
        legend_above(ax, 3)
        text = "Each bar is one step, split by what the time went into (percentages: share of the whole run)."
        if len(stage.runs) > 1:
            text += f" Mean of all {len(stage.runs)} runs."
        return Chart("Step time", text, to_svg(fig, f"{stage.title}: step time", slug(f"{stage.recipe}-time")))


# As algorithm/clip_regions.py names them. The first two are those whose gradient plain clipping drops.
REGIONS = {
    "below_neg": ("ratio low, advantage < 0", PALETTE[0]),
    "above_pos": ("ratio high, advantage > 0", PALETTE[1]),
    "below_pos": ("ratio low, advantage > 0", PALETTE[5]),
    "above_neg": ("ratio high, advantage < 0", PALETTE[4]),
}


def percent(label: str, name: str, colour: str | None = None) -> Line:
    """A fraction, drawn in percent."""
    return Line(label, (name,), 100.0, colour)


def groups(stage: Stage) -> Chart | None:
    """What became of the groups and responses of each step."""
    outcomes = {
        "trained": ("trained", PALETTE[2]),
        "no signal": ("no_signal", PALETTE[6]),
        "too few live": ("too_few_live", PALETTE[4]),
        "surplus": ("surplus", PALETTE[5]),
    }
    of_groups = [Line(words, (f"klear/groups/{name}",), colour=colour) for words, (name, colour) in outcomes.items()]
    of_responses = [
        Line("cut off", ("klear/masked/overlong",), colour=PALETTE[1]),
        Line("ungraded", ("klear/masked/ungraded",), colour=PALETTE[3]),
        Line("empty", ("klear/masked/empty",), colour=PALETTE[7]),
    ]
    of_tokens = Line("tokens", ("klear/masked/tokens",), colour=PALETTE[8])
    panels = [
        Panel("groups", tuple(of_groups), from_zero=True, stacked=True),
        Panel("wasted (%)", (percent("generated in vain", "klear/groups/wasted_share", PALETTE[0]),), from_zero=True),
    ]
    text = (
        "Groups that trained; whose responses all scored the same (no signal); with fewer than two responses left; "
        "beyond the batch size. Wasted: the share of all responses generated that trained nothing."
    )
    if any(any(line.pick(run).values()) for line in (*of_responses, of_tokens) for run in stage.runs):
        panels.append(Panel("masked responses", tuple(of_responses), from_zero=True, stacked=True))
        panels.append(Panel("masked tokens", (of_tokens,), from_zero=True, stacked=True))
        text += " Masked responses left the batch before any forward pass, and their tokens with them."
    else:
        text += " No response was masked."
    skipped = [values for run in stage.runs if (values := run.metrics.get("klear/skipped_steps"))]
    if count := sum(sum(values.values()) for values in skipped):
        text += f" {count:.0f} of {sum(map(len, skipped))} steps had no group with signal and were skipped."
    return chart(stage, "Which rollouts train", text, panels)


def positives(stage: Stage) -> Chart | None:
    """What the language-model loss on correct rollouts is made of."""
    panels = [
        Panel("correct, in the batch", (Line("responses", ("klear/positives",), colour=PALETTE[2]),), from_zero=True),
        Panel("their tokens", (Line("tokens", ("klear/positive_tokens",), colour=PALETTE[5]),), from_zero=True),
        Panel("loss (nats per token)", (Line("loss", ("actor/positive_lm_loss",), colour=PALETTE[0]),), from_zero=True),
    ]
    text = (
        "Correct responses among those that train, their tokens, and their negative log-likelihood: the term that α "
        "weighs. At 0 responses there is no such term."
    )
    return chart(stage, "Loss on correct rollouts", text, panels)


def clip_regions(stage: Stage) -> Chart | None:
    """Share of tokens outside the clip range, by region, and of the gradient they carry; what dual clip bounds."""

    def panel(label: str, metric: str) -> Panel:
        lines = [percent(words, f"actor/gppo/{metric}_{name}", c) for name, (words, c) in REGIONS.items()]
        return Panel(label, tuple(lines), from_zero=True, stacked=True)

    panels = [panel("tokens (%)", "frac"), panel("gradient (%)", "grad_share")]
    text = (
        "Tokens outside the clip range (above) and the share of the gradient they carry (below). Plain clipping drops "
        "the gradient of the two darker regions; GPPO keeps it, bounded."
    )
    if any(any(run.metrics.get("actor/pg_clipfrac_lower").values()) for run in stage.runs):
        dual = percent("bounded by dual clip", "actor/pg_clipfrac_lower", PALETTE[3])
        panels.append(Panel("dual clip (% tokens)", (dual,), from_zero=True))
        text += " Dual clip: tokens whose value it bounds."
    return chart(stage, "Clip regions", text, panels)


def clipped_entropy(stage: Stage) -> Chart | None:
    """Entropy of the tokens that clip-higher would drop, against the rest: the paper's claim, checked."""
    lines = (
        Line("ratio high, advantage > 0", ("actor/gppo/entropy_above_pos",), colour=PALETTE[1]),
        Line("all other tokens", ("actor/gppo/entropy_rest",), colour=PALETTE[6]),
    )
    text = (
        "Mean entropy of the tokens clipped high and of the rest: GPPO's premise is that the former lie higher. "
        "Steps without such a token have no point."
    )
    return chart(stage, "Entropy of clipped tokens", text, [Panel("entropy (nats)", lines, from_zero=True)])


def policy(stage: Stage) -> Chart | None:
    """Gradient norm, entropy and KL: is the optimisation healthy?"""
    panels = [
        Panel("gradient norm", (Line("gradient norm", ("actor/grad_norm",)),), from_zero=True),
        Panel("entropy (nats)", (Line("entropy", ("actor/entropy", "actor/entropy_loss"), colour=PALETTE[2]),)),
        Panel("KL (nats)", (Line("KL to the old policy", ("actor/ppo_kl",), colour=PALETTE[3]),)),
    ]
    text = "Spikes of the gradient norm mean unstable steps; entropy near 0 means that the policy no longer explores."
    return chart(stage, "Gradient norm, entropy and KL", text, panels)


def mismatch(stage: Stage) -> Chart | None:
    """How far the probabilities of the rollout engine are from the trainer's, for the same tokens and weights."""
    name = "training/rollout_probs_diff"
    spread = (Line("mean", (f"{name}_mean",)), Line("standard deviation", (f"{name}_std",), colour=PALETTE[2]))
    correlation = (Line("correlation", ("training/rollout_actor_probs_pearson_corr",), colour=PALETTE[4]),)
    panels = [
        Panel("difference", spread, from_zero=True),
        Panel("largest difference", (Line("largest", (f"{name}_max",), colour=PALETTE[1]),), from_zero=True),
        Panel("correlation", correlation, covers=(0.99, 1.0)),
    ]
    text = (
        "Probabilities of the sampled tokens in the rollout engine against the trainer's: how far they are apart, and "
        "their correlation. Differences that grow over a run, or a correlation that falls, mean that it trains on "
        "another policy's samples."
    )
    return chart(stage, "Rollout against trainer", text, panels)


SFT_CHARTS = (sft_loss,)
RL_CHARTS = (
    reward,
    correctness,
    validation,
    by_source,
    groups,
    scoring,
    judging,
    clip_regions,
    clipped_entropy,
    positives,
    lengths,
    policy,
    mismatch,
    step_time,
)
