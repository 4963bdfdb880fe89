# SPDX-License-Identifier: Apache-2.0
"""The pictures of what the method does between rollout and gradient: which rollouts train, which tokens are clipped and
what that does, and whether rollout and trainer agree. None is drawn without its metric."""

from __future__ import annotations

from klear_verl.report.curves import Stage
from klear_verl.report.panels import Line, Panel, chart
from klear_verl.report.style import PALETTE, Chart

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
    fates = {
        "trained": ("trained", PALETTE[2]),
        "no signal": ("no_signal", PALETTE[6]),
        "too few live": ("too_few_live", PALETTE[4]),
        "surplus": ("surplus", PALETTE[5]),
    }
    of_groups = [Line(words, (f"klear/groups/{name}",), colour=colour) for words, (name, colour) in fates.items()]
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
