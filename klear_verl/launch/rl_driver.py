# SPDX-License-Identifier: Apache-2.0
"""The process that drives one RL run: starts or joins Ray and hands the composed configuration to verl's own task
runner.

Run as `python -m klear_verl.launch.rl_driver RUN_DIR` by `klear train`, which watches it, shows its progress and
cleans up behind it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import uuid
from collections.abc import Callable
from typing import Any

import psutil
from omegaconf import DictConfig, OmegaConf, open_dict

from klear_verl.cpu import environment, fork_server
from klear_verl.errors import KlearError
from klear_verl.launch.preflight.ray_cluster import cluster_address
from klear_verl.launch.run_dir import RunDir
from klear_verl.patches import RUN_TAG
from klear_verl.utils.files import write_text
from klear_verl.utils.progress import announce

RAY_STARTS = 3
RAY_WAS_SLOW = "The current node timed out during startup"


def fork_from_here(config: DictConfig, run_dir: RunDir) -> str | None:
    """Has this run's processes forked from this one, where that can be; returns the interpreter to give to Ray."""
    if not environment.on_cpu() or cluster_address(config.ray_kwargs.ray_init) is not None:
        return None
    fork_server.load()
    program = run_dir.path / "python"
    fork_server.start(program)
    # Where programs may not be executed in the run's folder, every process imports for itself.
    return str(program) if os.access(program, os.X_OK) else None


def run(config: DictConfig, run_dir: RunDir, interpreter: str | None = None) -> None:
    """Validates with verl, then trains until the end. Blocks."""
    import ray
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    with open_dict(config):
        config.ray_kwargs.ray_init.runtime_env.env_vars = {
            **_worker_environment(run_dir),
            **(config.ray_kwargs.ray_init.runtime_env.get("env_vars") or {}),
        }
        if interpreter is not None:
            config.ray_kwargs.ray_init.runtime_env.py_executable = shlex.quote(interpreter)
    announce("starting Ray")
    try:
        starting_ray_again(lambda: run_ppo(config, task_runner_class=TaskRunnerV1))
    except Exception as error:  # whatever it is, it is raised again
        write_down(error, run_dir)  # before the shutdown, which takes its time, and need not succeed
        raise
    finally:
        ray.shutdown()


def starting_ray_again(train: Callable[[], None]) -> None:
    """Calls `train`, and calls it again where a local Ray did not come up: Ray gives its node 30 s
    (ray/_private/node.py, not configurable), which on a busy machine may be too few. Nothing of the run has begun by
    then."""
    for start in range(1, RAY_STARTS + 1):
        before = set(psutil.Process().children(recursive=True))
        try:
            return train()
        except Exception as error:  # Ray has no class of its own for this; all else, and the last start, is raised
            if type(error) is not Exception or RAY_WAS_SLOW not in str(error) or start == RAY_STARTS:
                raise
            announce(f"Ray did not come up in 30 s, start {start} of {RAY_STARTS}; again")
            for process in set(psutil.Process().children(recursive=True)) - before:  # Ray has forgotten them
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def _worker_environment(run_dir: RunDir) -> dict[str, str]:
    """Ray workers on other nodes do not inherit this process's environment: they get our variables, with the values
    that they have here, where the user's own have won."""
    ours = {name: os.environ.get(name, value) for name, value in environment.variables().items()}
    return {**ours, "VERL_FILE_LOGGER_PATH": str(run_dir.metrics_file), RUN_TAG: os.environ[RUN_TAG]}


def write_down(error: Exception, run_dir: RunDir) -> None:
    """Leaves the cause where `klear train` finds it."""
    cause = _cause(error)
    write_text(run_dir.error_file, f"{type(cause).__name__}: {cause}\n")


def _cause(error: BaseException) -> BaseException:
    """The error a person should read: Ray wraps a worker's error once per hop, in a class that is also the error's own
    but prints as a traceback; ours names its cause itself."""
    while True:
        inner: Any = getattr(error, "cause", None) or (None if isinstance(error, KlearError) else error.__cause__)
        if not isinstance(inner, BaseException):
            return error
        error = inner


def main() -> None:
    run_dir = RunDir(sys.argv[1])
    config = OmegaConf.load(run_dir.config_file)
    assert isinstance(config, DictConfig)
    os.environ[RUN_TAG] = uuid.uuid4().hex[:12]
    announce("importing verl")
    interpreter = fork_from_here(config, run_dir)  # outside the try: the run's processes leave it too
    try:
        run(config, run_dir, interpreter)
    except Exception as error:  # whatever it is: raised again below
        write_down(error, run_dir)
        raise


if __name__ == "__main__":
    main()
