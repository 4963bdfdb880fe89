# SPDX-License-Identifier: Apache-2.0
"""Times GPPO's forward and backward against verl's `vanilla` in one run, and compares their peak memory.

Both losses are called as verl calls them, metrics included, on the same tensors. They alternate, round by round, so
that a machine whose load changes treats them alike; each ratio is GPPO over vanilla, of the medians. Peak memory is
what the allocator held above the inputs: from the profiler's allocation records on a CPU, from torch.cuda on a GPU.
It measures the loss alone, not the model that makes the log-probabilities.

    python benchmarks/gppo_loss.py --batch 64 --length 2048 --rounds 200 --json gppo_loss.json
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from verl.trainer.ppo.core_algos import get_policy_loss_fn
from verl.workers.config import FSDPActorConfig

import klear_verl.algorithm.gppo  # noqa: F401  (registers the loss)
from klear_verl.algorithm import GPPOLossConfig

LOSSES = ("vanilla", "gppo")


def make_batch(batch: int, length: int, dtype: torch.dtype, device: str) -> dict[str, torch.Tensor]:
    """Random log-probabilities whose ratio leaves the clip range at about a fifth of the tokens; ragged lengths."""
    generator = torch.Generator().manual_seed(0)
    old_log_prob = -torch.rand(batch, length, generator=generator)
    log_prob = old_log_prob + 0.2 * torch.randn(batch, length, generator=generator)
    advantages = torch.randn(batch, 1, generator=generator).expand(batch, length).contiguous()
    lengths = torch.randint(length // 4, length + 1, (batch, 1), generator=generator)
    return {
        "old_log_prob": old_log_prob.to(device, dtype),
        "log_prob": log_prob.to(device, dtype).requires_grad_(),
        "advantages": advantages.to(device),
        "response_mask": (torch.arange(length)[None] < lengths).to(device),
    }


def make_step(name: str, tensors: dict[str, torch.Tensor]) -> Callable[[], None]:
    """One forward and backward pass of the registered loss `name`, as verl's `ppo_loss` calls it."""
    config = FSDPActorConfig(
        strategy="fsdp", rollout_n=8, use_dynamic_bsz=True, clip_ratio_high=0.28, policy_loss=GPPOLossConfig()
    )
    config.global_batch_info.update(dp_size=1, batch_num_tokens=int(tensors["response_mask"].sum()))
    loss_fn = get_policy_loss_fn(name)

    def step() -> None:
        tensors["log_prob"].grad = None
        loss, _ = loss_fn(loss_agg_mode="token-mean", config=config, **tensors)
        loss.backward()

    return step


def wall_s(step: Callable[[], None], device: str) -> float:
    """Wall time of one step in seconds, the device's queue drained before and after."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_mib(step: Callable[[], None], tensors: dict[str, torch.Tensor], device: str) -> float:
    """Highest allocation of one step above what was held before it, in MiB (the gradient of log_prob included)."""
    tensors["log_prob"].grad = None
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - held) / 2**20
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]")
    if not changes:
        raise RuntimeError("the profiler recorded no allocation: this PyTorch names its memory events differently")
    held = peak = 0
    for _, change in changes:
        held += change
        peak = max(peak, held)
    return peak / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description="GPPO loss against verl's vanilla: time and peak memory")
    parser.add_argument("--batch", type=int, default=64, help="sequences in the micro-batch")
    parser.add_argument("--length", type=int, default=2048, help="tokens of each response")
    parser.add_argument("--rounds", type=int, default=100, help="timed steps of each loss")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of the log-probabilities")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="also write the result here")
    arguments = parser.parse_args()

    tensors = make_batch(arguments.batch, arguments.length, getattr(torch, arguments.dtype), arguments.device)
    steps = {name: make_step(name, tensors) for name in LOSSES}
    for step in steps.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in LOSSES}
    for _ in range(arguments.rounds):
        for name, step in steps.items():
            times[name].append(wall_s(step, arguments.device))
    time_ms = {name: 1e3 * statistics.median(times[name]) for name in LOSSES}
    memory_mib = {name: peak_mib(step, tensors, arguments.device) for name, step in steps.items()}
    ratio = {what: row["gppo"] / row["vanilla"] for what, row in (("time", time_ms), ("memory", memory_mib))}

    print(f"{arguments.batch} x {arguments.length} tokens, {arguments.dtype}, {arguments.device}")
    print(f"{'':>10} {'time, ms':>10} {'peak, MiB':>10}")
    for name in LOSSES:
        print(f"{name:>10} {time_ms[name]:>10.3f} {memory_mib[name]:>10.2f}")
    print(f"{'ratio':>10} {ratio['time']:>10.2f} {ratio['memory']:>10.2f}")
    result = {
        "batch": arguments.batch,
        "length": arguments.length,
        "rounds": arguments.rounds,
        "dtype": arguments.dtype,
        "device": arguments.device,
        "threads": torch.get_num_threads(),
        "time_ms": time_ms,
        "peak_mib": memory_mib,
        "ratio": ratio,
    }
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
