# SPDX-License-Identifier: Apache-2.0
"""Runs in a process whose `verl` is the patched copy: measures upstream's loss against ours and against the paper's
equations, runs the patch's own test, and writes what it found as JSON. Usage: REPORT TEST_FILE VERL_CONFIG_DIR."""

import json
import sys
from pathlib import Path

import pytest
import torch
import verl
from omegaconf import OmegaConf
from verl.trainer.ppo import core_algos
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.config import FSDPActorConfig, PolicyLossConfig

from klear_verl.algorithm import (
    GPPOLossConfig,
    compute_policy_loss_gppo,
)  # registers ours as `gppo`, as the plugin does
from tests.algorithm.gppo_reference import equation_17, random_batch

BETAS = [(1.0, 1.0), (0.75, 1.0), (0.5, 1.0), (0.0, 0.0), (1.3, 0.2)]
MODES = ["token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]
SEEDS = range(5)


def actor(policy_loss, global_batch_info=None):
    return FSDPActorConfig(
        strategy="fsdp",
        rollout_n=8,
        use_dynamic_bsz=True,
        clip_ratio_low=0.2,
        clip_ratio_high=0.28,
        policy_loss=policy_loss,
        global_batch_info=global_batch_info or {},
    )


def loss_and_gradient(loss_fn, batch, config, mode):
    log_prob = batch["log_prob"].detach().clone().requires_grad_()
    loss, metrics = loss_fn(**{**batch, "log_prob": log_prob}, loss_agg_mode=mode, config=config)
    loss.backward()
    return loss.detach(), log_prob.grad, metrics


def upstream(batch, betas, mode="token-mean", **info):
    options = PolicyLossConfig(loss_mode="gppo", gppo_beta1=betas[0], gppo_beta2=betas[1])
    return loss_and_gradient(core_algos.compute_policy_loss_gppo, batch, actor(options, info), mode)


def ours(batch, betas, mode="token-mean", **info):
    return loss_and_gradient(
        compute_policy_loss_gppo, batch, actor(GPPOLossConfig(beta1=betas[0], beta2=betas[1]), info), mode
    )


def autograd(batch, betas):
    log_prob = batch["log_prob"].detach().clone().requires_grad_()
    tokens = equation_17(batch["old_log_prob"], log_prob, batch["advantages"], *betas)[batch["response_mask"]]
    loss = -tokens.mean()
    loss.backward()
    return loss.detach(), log_prob.grad


def difference(found, expected):
    """The largest difference of value or gradient."""
    return max((a - b).abs().max().item() for a, b in zip(found[:2], expected[:2], strict=True))


def batches():
    """Every region, with and without rollout weights."""
    for seed in SEEDS:
        batch = random_batch(batch=4, length=24, seed=seed)
        yield batch
        generator = torch.Generator().manual_seed(seed)
        yield {**batch, "rollout_is_weights": 2 * torch.rand(4, 24, generator=generator, dtype=torch.float64)}


def against_ours():
    """Over betas, aggregation modes, and a micro-batch of a global mini-batch on two ranks."""
    part = {"dp_size": 2, "batch_num_tokens": 1000, "global_batch_size": 32}
    return max(
        difference(upstream(batch, betas, mode, **info), ours(batch, betas, mode, **info))
        for batch in batches()
        for betas in BETAS
        for mode in MODES
        for info in ({}, part)
    )


def against_equation_17():
    plain = [batch for batch in batches() if "rollout_is_weights" not in batch]
    return max(difference(upstream(batch, betas), autograd(batch, betas)) for batch in plain for betas in BETAS)


def shared_metrics():
    """(upstream's, ours) of the metrics that upstream logs."""
    batch = random_batch()
    theirs, mine = upstream(batch, (1.0, 1.0))[2], ours(batch, (1.0, 1.0))[2]
    return theirs, {name: mine[name] for name in theirs}


def extreme_tokens():
    """Whether loss and gradient equal ours where |log δ| is far beyond the clamp and masked tokens hold NaN."""
    batch = random_batch()
    batch["log_prob"] = (500 * batch["log_prob"]).detach().masked_fill(~batch["response_mask"], torch.nan)
    batch["advantages"] = batch["advantages"].masked_fill(~batch["response_mask"], torch.inf)
    found, expected = upstream(batch, (1.0, 1.0)), ours(batch, (1.0, 1.0))
    return all(torch.allclose(a, b, rtol=1e-12, atol=0) for a, b in zip(found[:2], expected[:2], strict=True))


def betas_from_yaml(config_dir):
    """What a worker receives when `gppo_beta1` is overridden in verl's actor config."""
    node = OmegaConf.load(config_dir / "actor" / "actor.yaml").policy_loss
    built = omega_conf_to_dataclass(OmegaConf.merge(node, {"loss_mode": "gppo", "gppo_beta1": 0.75}))
    return [type(built).__name__, built.gppo_beta1, built.gppo_beta2]


class Outcomes:
    """Collects the outcome of each test that pytest ran."""

    def __init__(self):
        self.found = {}

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            self.found[report.nodeid.split("::")[-1]] = report.outcome


def main(report_file, test_file, config_dir):
    outcomes = Outcomes()
    report = {
        "verl": str(Path(verl.__file__).parent),
        "registered": core_algos.POLICY_LOSS_REGISTRY["gppo"].__module__,
        "betas_from_yaml": betas_from_yaml(Path(config_dir)),
        "against_ours": against_ours(),
        "against_equation_17": against_equation_17(),
        "shared_metrics": shared_metrics(),
        "extreme_tokens": extreme_tokens(),
    }
    core_algos.POLICY_LOSS_REGISTRY["gppo"] = core_algos.compute_policy_loss_gppo  # as in a verl without our plugin
    no_files = ["-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", "."]
    report["exit_status"] = int(pytest.main([*no_files, test_file], [outcomes]))
    report["patch_tests"] = outcomes.found
    Path(report_file).write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
