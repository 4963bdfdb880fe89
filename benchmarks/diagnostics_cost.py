# SPDX-License-Identifier: Apache-2.0
"""What the klear trainers' loss function costs on top of verl's `ppo_loss`, as a share of forward and backward pass.

One micro-batch goes through a Qwen3 of the given size, then through verl's `ppo_loss` or through `klear_loss` (the
same, plus diagnostics and the language-model loss), then backward. The two alternate round by round; the share is
(klear - verl) / verl of the medians. A training step also generates and computes old log-probabilities, so that its
share is smaller still.

    python benchmarks/diagnostics_cost.py --hidden 512 --layers 4 --length 512
"""

import argparse
import json
import statistics
import time
from functools import partial
from types import SimpleNamespace

import torch
from tensordict import TensorDict
from transformers import Qwen3Config, Qwen3ForCausalLM
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPActorConfig
from verl.workers.utils.losses import ppo_loss

import klear_verl.algorithm.gppo  # noqa: F401  (registers the loss)
from klear_verl.algorithm import GPPOLossConfig
from klear_verl.trainer import loss


def model(hidden: int, layers: int, vocabulary: int) -> Qwen3ForCausalLM:
    """A random Qwen3 with heads of 32."""
    torch.manual_seed(0)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=hidden,
            intermediate_size=3 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=hidden // 32,
            num_key_value_heads=hidden // 64,
            head_dim=32,
            tie_word_embeddings=True,
        )
    )


def micro_batch(rows: int, length: int, vocabulary: int) -> TensorDict:
    """`rows` sequences, half prompt, half response, with the fields that a worker sees."""
    generator = torch.Generator().manual_seed(0)
    half = length // 2

    def nested(make) -> torch.Tensor:
        return torch.nested.as_nested_tensor([make() for _ in range(rows)], layout=torch.jagged)

    ids = [torch.randint(vocabulary, (length,), generator=generator) for _ in range(rows)]
    old = [-torch.rand(half, generator=generator) for _ in range(rows)]
    data = TensorDict(
        {
            "input_ids": torch.nested.as_nested_tensor(ids, layout=torch.jagged),
            "prompts": torch.nested.as_nested_tensor([row[:half] for row in ids], layout=torch.jagged),
            "responses": torch.nested.as_nested_tensor([row[half:] for row in ids], layout=torch.jagged),
            "response_mask": nested(lambda: torch.ones(half, dtype=torch.int64)),
            "old_log_probs": torch.nested.as_nested_tensor(old, layout=torch.jagged),
            "advantages": nested(lambda: torch.randn(1, generator=generator).expand(half).clone()),
            "entropy": nested(lambda: torch.rand(half, generator=generator)),
            loss.POSITIVE: torch.arange(rows) % 2 == 0,
            loss.POSITIVE_TOKENS: torch.full((rows,), half * ((rows + 1) // 2)),
            loss.LIVE_RESPONSES: torch.full((rows,), rows),
        },
        batch_size=rows,
    )
    tu.assign_non_tensor(data, dp_size=1, batch_num_tokens=rows * half, global_batch_size=rows)
    return data


def seconds(net: torch.nn.Module, data: TensorDict, loss_function) -> float:
    """One forward and backward pass."""
    start = time.perf_counter()
    net.zero_grad()
    logits = net(torch.stack(data["input_ids"].unbind())).logits
    log_probs = torch.log_softmax(logits[:, :-1], dim=-1)
    chosen = log_probs.gather(-1, torch.stack(data["input_ids"].unbind())[:, 1:, None]).squeeze(-1)
    full = torch.nn.functional.pad(chosen, (0, 1))
    output = {"log_probs": torch.nested.nested_tensor_from_jagged(full.flatten(), data["input_ids"].offsets())}
    loss, _ = loss_function(model_output=output, data=data)
    loss.backward()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=128, help="tokens of each sequence")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()

    net = model(options.hidden, options.layers, options.vocabulary)
    actor = FSDPActorConfig(
        strategy="fsdp", rollout_n=8, use_dynamic_bsz=True, clip_ratio_high=0.28, policy_loss=GPPOLossConfig()
    )
    actor.model_config = SimpleNamespace(tokenizer=None)
    losses = {
        "verl": partial(ppo_loss, actor),
        "klear": partial(loss.klear_loss, actor, 0.1, "non_finite"),
    }
    data = micro_batch(options.rows, options.length, options.vocabulary)
    times: dict[str, list[float]] = {name: [] for name in losses}
    for turn in range(options.rounds + 2):
        for name, loss_function in losses.items():
            taken = seconds(net, data, loss_function)
            if turn >= 2:
                times[name].append(taken)
    median = {name: statistics.median(values) for name, values in times.items()}
    share = (median["klear"] - median["verl"]) / median["verl"]
    print(
        f"forward and backward: verl {1e3 * median['verl']:.1f} ms, klear {1e3 * median['klear']:.1f} ms: {share:+.1%}"
    )
    print(json.dumps({**vars(options), "seconds": median, "share": share}))


if __name__ == "__main__":
    main()
