# SPDX-License-Identifier: Apache-2.0
"""Memory, shared memory, disk and accelerators of this machine against what a run will need. Other nodes of a
cluster are not looked at."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from klear_verl.errors import ConfigError, EnvironmentProblem
from klear_verl.launch.preflight.model import ModelFacts
from klear_verl.launch.preflight.view import BUCKET
from klear_verl.launch.processes import orphaned_segments

GIB = 1 << 30
MIB = 1 << 20

RL_BASE_BYTES = int(4.0 * GIB)
RL_RANK_BYTES = int(2.7 * GIB)
"""Ray, verl and vLLM with a negligible model peak at 6.7 GiB on one rank and 9.4 GiB on two, on the CPU platform."""

SFT_BASE_BYTES = int(0.5 * GIB)
SFT_RANK_BYTES = int(1.0 * GIB)
"""One process of verl's SFT trainer: its imports (about 0.6 GiB) and its activations."""

RL_COPIES = 6
"""float32 copies of the weights in an RL run on CPU: actor, gradient, two Adam moments, rollout engine, state dict
during weight transfer."""

SFT_COPIES = 4
"""float32 copies in SFT: weights, gradient, two Adam moments."""

OBJECT_STORE_BYTES = 80 * MIB
"""The smallest object store that Ray starts with (75 MiB), rounded up."""

CHECKPOINT_COPIES = 3
"""float32 copies in one checkpoint: weights and two Adam moments."""

CGROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Limit and usage of this container's memory: cgroup v2, then v1."""


def available_memory_bytes(cgroup_files: tuple[tuple[str, str], ...] = CGROUP_FILES) -> int:
    """Memory that can still be used: the machine's, or less where the container has a limit."""
    import psutil

    available = int(psutil.virtual_memory().available)
    for limit_file, usage_file in cgroup_files:
        limit, usage = _number(limit_file), _number(usage_file)
        if limit is not None and usage is not None:
            # Page cache counts as usage but is given back, so that this errs on the safe side by the size of the cache.
            available = min(available, max(limit - usage, 0) + _reclaimable(limit_file))
    return available


def rl_memory_bytes(ranks: int, parameters: int, *, reference_model: bool) -> int:
    """Estimated peak memory of an RL run on the CPU platform, in bytes."""
    return RL_BASE_BYTES + RL_RANK_BYTES * ranks + 4 * parameters * (RL_COPIES + int(reference_model))


def sft_memory_bytes(ranks: int, parameters: int) -> int:
    """Estimated peak memory of an SFT run on the CPU platform, in bytes."""
    return SFT_BASE_BYTES + SFT_RANK_BYTES * ranks + 4 * parameters * SFT_COPIES


def check_memory(needed: int, available: int) -> None:
    """Raises EnvironmentProblem when less memory is available than the run is estimated to need."""
    if available < needed:
        raise EnvironmentProblem(
            f"about {needed / GIB:.1f} GiB of memory are needed, {available / GIB:.1f} GiB are available here",
            "close other programs, raise the container's memory limit, or use fewer ranks "
            "(trainer.n_gpus_per_node) or a smaller model",
        )


def check_shared_memory(bucket_mib: int, ranks: int, folder: str = "/dev/shm") -> None:
    """The weight transfer and Ray's object store both live in /dev/shm; where it is too small, workers die of SIGBUS.

    Args:
        bucket_mib: `actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes`; each rank has one
            bucket.
        ranks: ranks on this machine.
        folder: the shared memory file system.

    Raises:
        EnvironmentProblem: names what is needed and what is free.
    """
    if not os.path.isdir(folder):
        raise EnvironmentProblem(
            f"{folder} does not exist", "mount a tmpfs there: mount -t tmpfs -o size=2g tmpfs /dev/shm"
        )
    free = shutil.disk_usage(folder).free
    needed = bucket_mib * MIB * ranks + OBJECT_STORE_BYTES
    if free < needed:
        left = orphaned_segments(Path(folder))
        clean = f", or remove the {len(left)} leftover segments that `klear doctor` lists" if left else ""
        raise EnvironmentProblem(
            f"{folder} has {free // MIB} MiB free, about {needed // MIB} MiB are needed ({ranks} * "
            f"update_weights_bucket_megabytes={bucket_mib} "
            "and Ray's object store)",
            f"enlarge it (docker run --shm-size=2g; mount -o remount,size=2g {folder}), or lower the bucket{clean}",
        )


def check_bucket(bucket_mib: int, model: ModelFacts) -> None:
    """On shared memory, a tensor larger than the bucket stops the weight transfer after the start (verl's assert in
    the sender).

    Raises:
        ConfigError: names the option and the size it needs.
    """
    largest = 4 * model.largest_tensor_elements
    if largest > bucket_mib * MIB:
        raise ConfigError(
            f"{BUCKET}={bucket_mib}, but the embedding of {model.path} takes {-(-largest // MIB)} MiB in float32",
            f"set {BUCKET}={-(-largest // MIB)} or more",
        )


def check_disk(folder: str, needed: int, key: str, keep_key: str, half_written: int = 0) -> None:
    """The checkpoint folder, or its first existing parent, is writable and has room.

    Args:
        folder: for the checkpoints.
        needed: bytes that this attempt will write beyond what is there already.
        key: the option that names the folder.
        keep_key: the option that says how many checkpoints are kept.
        half_written: bytes in the folder that this attempt frees before it writes any.

    Raises:
        EnvironmentProblem: names the option, the folder and the sizes.
    """
    place = Path(os.path.expanduser(folder)).absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise EnvironmentProblem(f"{key}={folder}: {place} is a file", "name another folder")
    if not os.access(place, os.W_OK):
        raise EnvironmentProblem(f"{key}={folder}: {place} is not writable", "name a folder of yours")
    free = shutil.disk_usage(place).free + half_written
    if free < needed:
        raise EnvironmentProblem(
            f"{key}={folder} has {free / GIB:.1f} GiB free, checkpoints need about {needed / GIB:.1f} GiB",
            f"free some space there, or keep fewer checkpoints ({keep_key}); a new run may also use another folder, "
            "but a run that goes on finds its checkpoints in this one alone",
        )


def check_accelerators(device: str, per_node: int, nodes: int) -> None:
    """On one node, as many accelerators as ranks; verl finds out after Ray has started.

    Raises:
        EnvironmentProblem: names trainer.device or trainer.n_gpus_per_node.
    """
    if device != "cuda" or nodes > 1:
        return
    import torch

    count = torch.cuda.device_count()
    if count == 0:
        raise EnvironmentProblem(
            "trainer.device=cuda, but no CUDA device is visible here", "set trainer.device=cpu, or check nvidia-smi"
        )
    if count < per_node:
        raise EnvironmentProblem(
            f"trainer.n_gpus_per_node={per_node}, but {count} CUDA devices are visible", f"set it to {count} or less"
        )


def _number(file: str) -> int | None:
    try:
        text = Path(file).read_text(encoding="ascii").strip()
    except OSError:
        return None  # no such controller in this container: there is no limit to respect
    return int(text) if text.isdigit() else None


def _reclaimable(limit_file: str) -> int:
    try:
        lines = (Path(limit_file).parent / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    stat = dict(line.split(" ", 1) for line in lines)
    return int(stat.get("total_inactive_file") or stat.get("inactive_file") or 0)
