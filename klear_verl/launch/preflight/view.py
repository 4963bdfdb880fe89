# SPDX-License-Identifier: Apache-2.0
"""The configuration as preflight looks at it: made once from what was composed, with types, and trusted from then on.

The classes mirror verl's nodes: `view.actor.ppo_mini_batch_size` is `actor_rollout_ref.actor.ppo_mini_batch_size`. They
hold the keys that a check needs. All other keys of verl pass unseen: verl has schemas of its own for them.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from klear_verl.errors import ConfigError
from klear_verl.trainer.config import KlearConfig

ACTOR = "actor_rollout_ref.actor"
ROLLOUT = "actor_rollout_ref.rollout"
REF = "actor_rollout_ref.ref"
MODEL = "actor_rollout_ref.model"
BUCKET = f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes"
TRAINER_MODE = "trainer.v1.trainer_mode"

Size = Annotated[int, Field(strict=True, ge=1)]


def _listed(value: Any) -> Any:
    return [] if value is None else [value] if isinstance(value, str) else value


Files = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""One path, a list of paths, or null for none."""


class _Node(BaseModel):
    """A node of verl's, of which we read some keys."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class V1Node(_Node):
    trainer_mode: str | None = None


class TrainerNode(_Node):
    device: str
    nnodes: Size
    n_gpus_per_node: Size
    total_epochs: Size
    total_training_steps: int | None = None
    default_local_dir: str | None = None
    max_actor_ckpt_to_keep: int | None = None
    max_ckpt_to_keep: int | None = None
    use_v1: bool = False
    v1: V1Node = V1Node()

    @property
    def ranks(self) -> int:
        """Processes of the whole run."""
        return self.nnodes * self.n_gpus_per_node


class CustomClassNode(_Node):
    path: str | None = None


class _DataNode(_Node):
    train_files: Files = ()
    val_files: Files = ()
    train_batch_size: Size
    train_max_samples: int = -1
    custom_cls: CustomClassNode = CustomClassNode()
    trust_remote_code: bool = False


class RLDataNode(_DataNode):
    max_prompt_length: Size
    max_response_length: Size
    prompt_key: str = "prompt"
    reward_fn_key: str = "data_source"
    filter_overlong_prompts: bool = False
    truncation: str = "error"
    apply_chat_template_kwargs: dict[str, Any] | None = None

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return self.max_prompt_length + self.max_response_length


class SFTDataNode(_DataNode):
    max_length: Size
    messages_key: str = "messages"
    use_dynamic_bsz: bool = False
    max_token_len_per_gpu: Size | None = None
    micro_batch_size_per_gpu: Size | None = None


class ModelNode(_Node):
    path: str | None = None
    tokenizer_path: str | None = None
    trust_remote_code: bool = False
    custom_chat_template: str | None = None
    override_config: dict[str, Any] | None = None

    @property
    def attention(self) -> str:
        """The attention implementation, with verl's default."""
        return str((self.override_config or {}).get("attn_implementation", "flash_attention_2"))


class EngineNode(_Node):
    ulysses_sequence_parallel_size: Size | None = None


class PolicyLossNode(_Node):
    loss_mode: str | None = None


class ActorNode(_Node):
    ppo_mini_batch_size: Size
    ppo_micro_batch_size_per_gpu: Size | None = None
    use_dynamic_bsz: bool = False
    ppo_max_token_len_per_gpu: Size | None = None
    ulysses_sequence_parallel_size: Size | None = None
    use_kl_loss: bool = False
    fsdp_config: EngineNode = EngineNode()
    policy_loss: PolicyLossNode = PolicyLossNode()

    @property
    def sequence_parallel(self) -> int:
        """Ranks that share a sequence: either key says so."""
        inner = self.fsdp_config.ulysses_sequence_parallel_size
        return max(self.ulysses_sequence_parallel_size or 1, inner or 1)


class CheckpointEngineNode(_Node):
    update_weights_bucket_megabytes: Size


class RolloutNode(_Node):
    n: Size
    tensor_model_parallel_size: Size | None = None
    data_parallel_size: Size | None = None
    pipeline_model_parallel_size: Size | None = None
    max_model_len: Size | None = None
    max_num_seqs: Size | None = None
    max_num_batched_tokens: Size | None = None
    log_prob_use_dynamic_bsz: bool | None = None
    log_prob_micro_batch_size_per_gpu: Size | None = None
    log_prob_max_token_len_per_gpu: Size | None = None
    checkpoint_engine: CheckpointEngineNode


class ReferenceNode(_Node):
    ulysses_sequence_parallel_size: Size | None = None
    log_prob_micro_batch_size_per_gpu: Size | None = None
    log_prob_max_token_len_per_gpu: Size | None = None


class RoleNode(_Node):
    model: ModelNode
    actor: ActorNode
    rollout: RolloutNode
    ref: ReferenceNode = ReferenceNode()


class CriticNode(_Node):
    model: ModelNode = ModelNode()


class AlgorithmNode(_Node):
    adv_estimator: str | None = None
    use_kl_in_reward: bool = False


class RewardManagerNode(_Node):
    name: str | None = None
    source: str | None = None


class RewardNode(_Node):
    reward_manager: RewardManagerNode = RewardManagerNode()


class RayNode(_Node):
    ray_init: dict[str, Any] = {}


class RLView(_Node):
    """An RL run."""

    trainer: TrainerNode
    data: RLDataNode
    actor_rollout_ref: RoleNode
    critic: CriticNode = CriticNode()
    algorithm: AlgorithmNode = AlgorithmNode()
    reward: RewardNode = RewardNode()
    ray_kwargs: RayNode = RayNode()
    klear: KlearConfig = KlearConfig()

    @property
    def model(self) -> ModelNode:
        """`actor_rollout_ref.model`."""
        return self.actor_rollout_ref.model

    @property
    def actor(self) -> ActorNode:
        """`actor_rollout_ref.actor`."""
        return self.actor_rollout_ref.actor

    @property
    def rollout(self) -> RolloutNode:
        """`actor_rollout_ref.rollout`."""
        return self.actor_rollout_ref.rollout

    @property
    def reference(self) -> ReferenceNode | None:
        """`actor_rollout_ref.ref`, where there will be a reference model."""
        used = self.actor.use_kl_loss or self.algorithm.use_kl_in_reward
        return self.actor_rollout_ref.ref if used else None

    @property
    def klear_sync(self) -> bool:
        """Whether our trainer is chosen, which alone looks at the `klear` node."""
        return self.trainer.v1.trainer_mode == "klear_sync"


class SFTView(_Node):
    """An SFT run."""

    trainer: TrainerNode
    data: SFTDataNode
    model: ModelNode
    engine: EngineNode = EngineNode()


View = TypeVar("View", RLView, SFTView)


def view_of(kind: type[View], cfg: DictConfig) -> View:
    """Reads a composed and resolved configuration, but for our own node, which has a schema.

    Raises:
        ConfigError: names every key whose value is of a wrong type, with the value.
    """
    values = OmegaConf.to_container(cfg)
    assert isinstance(values, dict)
    try:
        return kind.model_validate({name: node for name, node in values.items() if name != "klear"})
    except ValidationError as error:
        faults = [_fault(item) for item in error.errors(include_url=False)]
        raise ConfigError("; ".join(faults), "correct the value on the command line or in the recipe") from error


def _fault(item: Any) -> str:
    key = ".".join(map(str, item["loc"]))
    if item["type"] == "missing":
        return f"{key} is missing"
    if item["type"] in ("int_type", "greater_than_equal"):
        return f"{key}={item['input']!r} is not a positive whole number"
    return f"{key}={item['input']!r}: {item['msg']}"
