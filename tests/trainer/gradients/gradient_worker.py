# SPDX-License-Identifier: Apache-2.0
"""verl's training workers as processes without Ray: verl's `TrainingWorker`, its FSDP engine and `klear_loss`, on rows
made as the trainer makes them. One process imports everything and forks one rank after the other.

    VERL_PLATFORM=cpu python -m tests.trainer.gradients.gradient_worker JOB_FOLDER [JOB_FOLDER …]

From `train_mini_batch` to the optimizer's step all is verl's own and ours, but for three things:
1. The optimizer's step is replaced by a copy of the gradient, so that all cases start from the same weights (a case
   with `update` has a worker of its own, which steps).
2. float64: verl has no such `mixed_precision`, and transformers' RMSNorm computes in float32. Both are taught it.
3. Ulysses lives inside flash-attention, which has no CPU build and no float64. Dense attention over the same arguments
   stands in for its kernel; verl's all-to-all around the kernel is the real one.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import verl.models.transformers.monkey_patch as monkey_patch
from tensordict import TensorDict
from tensordict.tensorclass import NonTensorStack
from transformers import AttentionInterface
from transformers.integrations.flash_attention import flash_attention_forward
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm
from verl.trainer.config import CheckpointConfig
from verl.trainer.ppo.padding_utils import construct_minimal_padding_template
from verl.utils.metric import reduce_metrics
from verl.utils.tensordict_utils import assign_non_tensor
from verl.utils.torch_dtypes import PrecisionType
from verl.workers.config import (
    FSDPActorConfig,
    FSDPEngineConfig,
    FSDPOptimizerConfig,
    HFModelConfig,
    TrainingWorkerConfig,
)
from verl.workers.engine import EngineRegistry  # noqa: F401  (imported before the fork, not once per rank)
from verl.workers.engine_workers import TrainingWorker

from klear_verl.algorithm import GPPOLossConfig
from klear_verl.trainer.loss import finish_diagnostics, klear_loss
from tests.trainer.gradients.gradient_cases import EOS, LR, ROWS, Case, Engine
from tests.trainer.gradients.mutants import planted
from tests.trainer.gradients.reference import ExactRMSNorm, Objective, Sample

STAND_IN = "dense_packed"  # with "flash" in its name, transformers would ask for the package


def main(folders: list[Path]) -> int:
    """Runs the jobs side by side, one process per rank; the exit status is 1 as soon as any rank fails."""
    teach_float64()
    stand_in_for_flash_attention()
    ranks = [
        (folder, rank, size)
        for folder in folders
        for size in [torch.load(folder / "job.pt", weights_only=False)["cases"][0].engine.world_size]
        for rank in range(size)
    ]
    if len(ranks) == 1:  # CUDA does not survive a fork
        run_rank(*ranks[0], progress=1)
        return 0
    running = {_fork(*rank) for rank in ranks}
    while running:
        ended, status = os.wait()
        running.remove(ended)
        if status:
            for other in running:
                os.kill(other, 9)
            return 1
    return 0


def _fork(folder: Path, rank: int, world_size: int) -> int:
    if pid := os.fork():
        return pid
    status = 1
    try:
        progress = os.dup(1)
        log = os.open(folder / f"rank{rank}.log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        run_rank(folder, rank, world_size, progress)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def run_rank(folder: Path, rank: int, world_size: int, progress: int) -> None:
    """Runs all cases of a job on one rank, with a line each on the descriptor `progress`; rank 0 writes their results,
    by case."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",  # verl wants both set; the ranks meet at the file
        "MASTER_PORT": "1",
        "DIST_INIT_METHOD": f"file://{folder / 'meeting'}",
    }
    job = torch.load(folder / "job.pt", weights_only=False)
    results: dict[Case, Any] = {}
    built: dict[Engine, Any] = {}
    for case in job["cases"]:
        if case.update or case.engine not in built:
            built[case.engine] = build_worker(job["models"][case.engine.tied], case.engine)
        results[case] = run_case(built[case.engine], case, job["rows"][case.batch, case.engine.data_parallel], folder)
        os.write(progress, f"rank {rank} of {world_size}: {case.name}\n".encode())
        if case.update:
            del built[case.engine]
    if rank == 0:
        torch.save(results, folder / "results.pt")
    torch.distributed.destroy_process_group()


def run_case(worker: Any, case: Case, rows: list[Sample], folder: Path) -> dict[str, Any]:
    """One call of `train_mini_batch` on this rank's rows: the gradient of each mini-batch (with `update` the weights
    after the last one), and the metrics of the step as the trainer logs them."""
    actor = actor_config(case.objective, worker.model_config)
    worker.set_loss_fn(partial(klear_loss, actor, case.objective.alpha, str(folder)))
    engine, captured = worker.engine, []

    def keep_gradient() -> torch.Tensor:
        captured.append(full_tensors(engine.module, lambda parameter: parameter.grad))
        return torch.zeros(())

    if not case.update:
        engine.optimizer_step = keep_gradient
    with planted(case.mutant):
        output = worker.train_mini_batch(rows_of_rank(case, rows, engine.get_data_parallel_rank()))
    if case.update:
        captured.append(full_tensors(engine.module, lambda parameter: parameter.detach()))
    if output is None:  # verl: a sequence-parallel rank other than the first reports nothing
        return {}
    metrics = reduce_metrics(output["metrics"])
    finish_diagnostics(metrics)
    return {"tensors": captured, "metrics": {name: float(value) for name, value in metrics.items()}}


# ---------------------------------------------------------------- data


def rows_of_rank(case: Case, rows: list[Sample], dp_rank: int) -> TensorDict:
    """The TensorDict that a rank's worker receives: its contiguous share, with what verl's trainer sends along."""
    share = len(rows) // case.engine.data_parallel
    own = slice(dp_rank * share, (dp_rank + 1) * share)
    constants = mini_batch_constants(rows)
    fields = [row_fields(row, case.engine.dtype) | constants[row.mini_batch] for row in rows[own]]
    columns: dict[str, Any] = {}
    for name in fields[0]:
        values = [field[name] for field in fields]
        if name == "uid":
            columns[name] = NonTensorStack(*values)
        elif values[0].dim():
            columns[name] = torch.nested.as_nested_tensor(values, layout=torch.jagged)
        else:
            columns[name] = torch.stack(values)
    data = TensorDict(columns, batch_size=share)
    dynamic = case.cut == "dynamic"
    micro_batch_size = share // case.batch.mini_batches if case.cut == "all" else 0 if dynamic else int(case.cut)
    assign_non_tensor(
        data,
        calculate_entropy=False,
        distillation_use_topk=False,
        distillation_only=False,
        global_batch_size=ROWS,
        mini_batch_size=ROWS,
        epochs=1,
        seed=42,
        dataloader_kwargs={"shuffle": False},
        temperature=1.0,
        use_dynamic_bsz=dynamic,
        micro_batch_size_per_gpu=micro_batch_size,
        max_token_len_per_gpu=130 if any(row.padding for row in rows) else 50,
    )
    return data


def row_fields(row: Sample, dtype: str) -> dict[str, Any]:
    """One row, with verl's own no-op sample where it is padding."""
    number = torch.float64 if dtype == "float64" else torch.float32
    input_ids = torch.cat([row.prompt, row.response])
    fields = {
        "prompts": row.prompt,
        "responses": row.response,
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
        "position_ids": torch.arange(len(input_ids)),
        "response_mask": row.live.long(),
        "loss_mask": row.live.long(),
        "rm_scores": torch.zeros(len(row.response)),
        "rollout_log_probs": row.old_log_prob.float(),
    }
    if row.padding:
        fields, _ = construct_minimal_padding_template(fields, {}, EOS)
        del fields["num_turns"]
        fields |= {"prompts": row.prompt, "responses": row.response, "input_ids": input_ids}
    return fields | {
        "old_log_probs": row.old_log_prob.to(number),
        "advantages": row.advantages.to(number),
        "entropy": row.entropy.to(number),
        "uid": row.uid,
        "klear_positive": torch.tensor(row.positive),
    }


def mini_batch_constants(rows: list[Sample]) -> dict[int, dict[str, torch.Tensor]]:
    """By mini-batch: the fields that tell a micro-batch about it."""
    constants = {}
    for number in {row.mini_batch for row in rows}:
        own = [row for row in rows if row.mini_batch == number]
        constants[number] = {
            "klear_positive_tokens": torch.tensor(sum(int(row.live.sum()) for row in own if row.positive)),
            "klear_live_responses": torch.tensor(sum(bool(row.live.any()) for row in own)),
        }
    return constants


# ---------------------------------------------------------------- worker


def build_worker(model_path: str, engine: Engine) -> Any:
    """verl's worker, with its engine built."""
    whole = "float64" if engine.dtype == "float64" else "fp32"
    precision = {"param_dtype": engine.dtype, "reduce_dtype": whole, "buffer_dtype": whole}
    worker = TrainingWorker(
        TrainingWorkerConfig(
            model_type="language_model",
            model_config=HFModelConfig(
                path=model_path,
                override_config={"attn_implementation": engine.attention},
                use_remove_padding=engine.remove_padding,
                enable_gradient_checkpointing=False,
            ),
            engine_config=FSDPEngineConfig(
                strategy=engine.strategy,
                use_torch_compile=False,
                model_dtype=whole,
                mixed_precision=precision,
                ulysses_sequence_parallel_size=engine.sequence_parallel,
            ),
            optimizer_config=FSDPOptimizerConfig(lr=LR, total_training_steps=1),
            checkpoint_config=CheckpointConfig(),
        )
    )
    worker.reset()
    if engine.dtype == "float64":
        worker.engine._autocast_dtype = torch.float32  # verl's way to say "no autocast"
    return worker


def actor_config(objective: Objective, model_config: Any) -> Any:
    """The actor's configuration as the trainer hands it to `klear_loss`."""
    return FSDPActorConfig(
        strategy="fsdp",
        rollout_n=3,
        use_dynamic_bsz=True,
        policy_loss=GPPOLossConfig(
            loss_mode=objective.mode, beta1=objective.beta1, beta2=objective.beta2, dual_clip=objective.dual_clip
        ),
        clip_ratio_low=objective.eps_low,
        clip_ratio_high=objective.eps_high,
        clip_ratio_c=objective.c,
        loss_agg_mode=objective.agg,
        entropy_coeff=0.0,
        model_config=model_config,
    )


def full_tensors(module: Any, of: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, torch.Tensor]:
    """A tensor per parameter (its gradient, itself), unsharded, by the parameter's name in transformers."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    if not isinstance(module, FullyShardedDataParallel):
        return {name: of(parameter).full_tensor().cpu().clone() for name, parameter in module.named_parameters()}
    # FSDP1 unshards parameters alone: for a moment they hold what is wanted.
    parameters = list(module.parameters())
    kept = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(of(parameter))
        with FullyShardedDataParallel.summon_full_params(module, writeback=False):
            full = {
                name.replace("_fsdp_wrapped_module.", ""): parameter.detach().cpu().clone()
                for name, parameter in module.named_parameters()
            }
        for parameter, own in zip(parameters, kept, strict=True):
            parameter.copy_(own)
    return full


# ---------------------------------------------------------------- what float64 and the CPU lack


def teach_float64() -> None:
    """verl's names of precisions, and transformers' RMSNorm."""
    to_dtype, norm = PrecisionType.to_dtype, Qwen3RMSNorm.forward
    PrecisionType.to_dtype = staticmethod(lambda name: torch.float64 if name == "float64" else to_dtype(name))

    def forward(self: Any, hidden: torch.Tensor) -> torch.Tensor:
        return ExactRMSNorm.forward(self, hidden) if hidden.dtype == torch.float64 else norm(self, hidden)

    Qwen3RMSNorm.forward = forward


def stand_in_for_flash_attention() -> None:
    """Registers transformers' flash-attention wrapper, which verl patches for Ulysses, under a name that needs no
    flash-attention package, and puts dense attention where the kernel would be called."""

    def kernel(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: None,
        query_length: int,
        *,
        position_ids: torch.Tensor,
        softmax_scale: float,
        **_: Any,
    ) -> torch.Tensor:
        """(1, tokens, heads, head_dim); a sequence begins wherever its position is 0."""
        own = (position_ids[0] == 0).cumsum(0)
        allowed = (own[:, None] == own[None]).tril()
        states = (tensor.transpose(1, 2) for tensor in (query, key, value))
        mixed = torch.nn.functional.scaled_dot_product_attention(
            *states, attn_mask=allowed, scale=softmax_scale, enable_gqa=True
        )
        return mixed.transpose(1, 2)

    monkey_patch._flash_attention_forward = kernel
    AttentionInterface.register(STAND_IN, flash_attention_forward)


if __name__ == "__main__":
    sys.exit(main([Path(folder) for folder in sys.argv[1:]]))
