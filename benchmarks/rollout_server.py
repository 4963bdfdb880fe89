# SPDX-License-Identifier: Apache-2.0
"""CPU time of verl's rollout server per token, asked for everything and asked for what is read.

The server's work with a response, verl's `vLLMHttpServer.generate`, is a loop over the outputs of `AsyncLLM.generate`.
This runs that loop over a real AsyncLLM, for the same prompts and seeds, once with verl's sampling parameters and once
with those of our agent loop, in turn. The engine has its own process, so that this one's CPU time is the server's.

    python benchmarks/rollout_server.py MODEL --responses 128 --tokens 64 --rounds 3
"""

import argparse
import asyncio
import json
import statistics
import time
import uuid

from klear_verl.cpu import environment

environment.apply()


async def generate(engine, prompts, params) -> tuple[float, int]:
    """All responses at once; the CPU seconds of this process, and the number of tokens that arrived."""
    from vllm import SamplingParams

    async def one(number: int, prompt: list[int]) -> int:
        last = None
        asked = SamplingParams(**params, seed=number)
        async for output in engine.generate({"prompt_token_ids": prompt}, asked, uuid.uuid4().hex):
            last = output
        return len(last.outputs[0].token_ids)

    started = time.process_time()
    tokens = await asyncio.gather(*(one(number, prompt) for number, prompt in enumerate(prompts)))
    return time.process_time() - started, sum(tokens)


async def measure(options: argparse.Namespace) -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    from klear_verl.trainer.seeded_agent_loop import what_is_read

    engine = AsyncLLM.from_engine_args(
        AsyncEngineArgs(
            model=options.model,
            dtype="float32",
            max_model_len=options.tokens + 32,
            max_num_seqs=options.responses,
            enforce_eager=True,
            disable_log_stats=True,
        )
    )
    prompts = [[1 + number % 50] * 16 for number in range(options.responses)]
    verl = {"temperature": 1.0, "logprobs": 0, "max_tokens": options.tokens, "ignore_eos": True}
    asked = {"verl": verl, "what is read": what_is_read(verl, interruptible=False)}
    seen: dict[str, list[float]] = {name: [] for name in asked}
    try:
        await generate(engine, prompts, verl)  # the first responses pay for imports and buffers
        for _ in range(options.rounds):
            for name, params in asked.items():
                cpu_s, tokens = await generate(engine, prompts, params)
                assert tokens == options.responses * options.tokens
                seen[name].append(1000 * cpu_s / tokens)
    finally:
        engine.shutdown()
    per_token = {name: statistics.median(values) for name, values in seen.items()}
    for name, value in per_token.items():
        print(f"{name:>14} {value:.4f} ms of CPU per token, at most {1000 / value:,.0f} tokens/s")
    ratio = per_token["what is read"] / per_token["verl"]
    print(json.dumps({"cpu_ms_per_token": per_token, "ratio": ratio}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a folder: quickstart-out/sft/model")
    parser.add_argument("--responses", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
