# SPDX-License-Identifier: Apache-2.0
"""Generation on vLLM's offline engine: one engine for all checkpoints that can share it.

vLLM is imported when the first engine starts, and the environment must be set before that. Nothing here grades, and
nothing here turns an engine's failure into a response.
"""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from klear_verl.errors import EnvironmentProblem
from klear_verl.evaluation.benchmark import Generation, GenerationRequest
from klear_verl.evaluation.checkpoint import Checkpoint
from klear_verl.evaluation.config import EngineConfig, SamplingConfig

if TYPE_CHECKING:
    from vllm import LLM


_ERROR_CHARACTERS = 400


class Engine(Protocol):
    """What the runner asks of an engine."""

    def load(self, checkpoint: Checkpoint) -> str:
        """Makes `checkpoint` the one that answers; returns how, in words ("engine started", "weights reloaded")."""

    def generate(self, requests: Iterable[GenerationRequest]) -> Iterator[Generation]:
        """Yields each sample when it is finished, in no particular order."""

    def close(self) -> None:
        """Frees what the engine holds. It may be loaded again."""


def check_vllm() -> None:
    """Raises EnvironmentProblem if vLLM is not installed, without importing it (that takes seconds)."""
    if importlib.util.find_spec("vllm") is None:
        raise EnvironmentProblem(
            "vllm is not installed", "pip install 'klear-verl[gpu]', or 'klear-verl[cpu]' without a GPU"
        )


def prepare_environment(config: EngineConfig, on_cpu: bool) -> None:
    """Sets what vLLM reads from the environment, before its import; what the user did set wins."""
    # Its warnings at every start are about kernels and preloaded libraries; failures are raised, and told by us.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    if on_cpu and config.tensor_parallel_size == 1:
        # A CPU engine in processes of its own imports everything three times and then spins against the workers that
        # compute: 27 s to start and 2.9K tokens/s, against 8-11 s and 17K tokens/s in this process (2 cores, 128
        # sequences).
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


class VllmEngine:
    """vllm.LLM behind the `Engine` protocol."""

    def __init__(self, config: EngineConfig, sampling: SamplingConfig):
        self._config = config
        self._sampling = sampling
        self._llm: LLM | None = None
        self._serving: Checkpoint | None = None

    def load(self, checkpoint: Checkpoint) -> str:
        """See `Engine.load`.

        Raises:
            EnvironmentProblem: the engine cannot start with this checkpoint.
        """
        if self._llm is not None and self._can_reload(checkpoint):
            # On the CPU the weights themselves were looked at, and the first log-probabilities would cost 2 s of
            # compilation.
            before = None if self._on_cpu() else self.probe()
            self.reload(checkpoint)
            # Equal to the last bit: the two checkpoints are the same, or the weights were not replaced. A new engine
            # settles it.
            if before is None or self.probe() != before:
                return "weights reloaded"
        self.close()
        self._llm = self._start(checkpoint)
        self._serving = checkpoint
        return "engine started"

    def reload(self, checkpoint: Checkpoint) -> None:
        """Puts the checkpoint's weights into the running engine; `load` decides whether that is possible."""
        assert self._llm is not None
        self._llm.collective_rpc("reload_weights", kwargs={"weights_path": str(checkpoint.path)})
        self._llm.reset_prefix_cache()
        self._serving = checkpoint

    def probe(self) -> list[float]:
        """Log-probabilities of a fixed prompt, which change when the weights do."""
        from vllm import SamplingParams

        assert self._llm is not None
        params = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0)
        (output,) = self._llm.generate({"prompt_token_ids": list(range(1, 33))}, params, use_tqdm=False)
        assert output.prompt_logprobs is not None
        return [entry.logprob for position in output.prompt_logprobs if position for entry in position.values()]

    def generate(self, requests: Iterable[GenerationRequest]) -> Iterator[Generation]:
        """See `Engine.generate`.

        Raises:
            EnvironmentProblem: the engine ended a sample for another reason than its end or its length.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        assert self._llm is not None
        engine = self._llm.llm_engine
        keys: dict[str, tuple[int, int]] = {}
        for request in requests:
            name = f"{request.key[0]}/{request.key[1]}"
            keys[name] = request.key
            params = SamplingParams(
                temperature=self._sampling.temperature,
                top_p=self._sampling.top_p,
                top_k=self._sampling.top_k,
                repetition_penalty=self._sampling.repetition_penalty,
                max_tokens=self._sampling.max_tokens,
                seed=request.seed,
                # As in training: where `<think>` is a special token, dropping it would make every response malformed.
                skip_special_tokens=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            engine.add_request(name, {"type": "token", "prompt_token_ids": list(request.prompt_token_ids)}, params)
        try:
            # Stepping the engine ourselves, instead of LLM.generate, hands over each sample as it ends: an interrupt
            # loses only those under way, and no batch waits for its longest response.
            while keys:
                for output in engine.step():
                    if output.finished:
                        yield _generation(keys.pop(output.request_id), output)
        except EngineDeadError as error:
            keys.clear()
            raise EnvironmentProblem(
                f"the vLLM engine died ({error}); its last words are above", "the same command continues from here"
            ) from error
        finally:
            if keys:
                engine.abort_request(list(keys))

    def close(self) -> None:
        """See `Engine.close`."""
        if self._llm is None:
            return
        self._llm.llm_engine.engine_core.shutdown()
        self._llm = self._serving = None
        gc.collect()

    def _can_reload(self, checkpoint: Checkpoint) -> bool:
        key = checkpoint.engine_key
        shared = key is not None and self._serving is not None and self._serving.engine_key == key
        return self._config.reload_in_place and shared and self._keeps_its_weights()

    def _keeps_its_weights(self) -> bool:
        if not self._on_cpu():
            return True
        assert self._llm is not None
        if self._config.tensor_parallel_size > 1 or os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING") != "0":
            return False
        # Unless our vLLM plugin is active, vLLM 0.28 packs a CPU engine's linear layers and leaves their weights
        # empty; a reload would replace the other weights only, silently.
        return all(self._llm.apply_model(lambda model: all(weight.numel() for weight in model.parameters())))

    @staticmethod
    def _on_cpu() -> bool:
        from vllm.platforms import current_platform

        return bool(current_platform.is_cpu())

    def _start(self, checkpoint: Checkpoint) -> LLM:
        from vllm import LLM

        try:
            return LLM(
                model=str(checkpoint.path),
                dtype=self._config.dtype,
                max_model_len=self._config.max_model_len,
                gpu_memory_utilization=self._config.gpu_memory_utilization,
                max_num_seqs=self._config.max_num_seqs,
                tensor_parallel_size=self._config.tensor_parallel_size,
                enforce_eager=self._config.enforce_eager,
                hf_overrides=self._config.hf_overrides or None,
                disable_log_stats=True,
                use_tqdm_on_load=False,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise EnvironmentProblem(
                f"model {checkpoint.name}: {checkpoint.path}: vLLM could not start ({_in_one_line(error)})",
                "keys that often help: engine.gpu_memory_utilization, engine.max_model_len, engine.enforce_eager; "
                "VLLM_LOGGING_LEVEL=INFO tells more",
            ) from error


def _in_one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _ERROR_CHARACTERS else text[:_ERROR_CHARACTERS] + "…"


def _generation(key: tuple[int, int], output: Any) -> Generation:
    (completion,) = output.outputs
    if completion.finish_reason not in ("stop", "length"):
        raise EnvironmentProblem(
            f"problem {key[0]}, sample {key[1]}: the engine ended it with finish_reason={completion.finish_reason!r}",
            "this is no response and was not recorded; the same command continues from here",
        )
    return Generation(key, completion.text, completion.finish_reason, len(completion.token_ids))
