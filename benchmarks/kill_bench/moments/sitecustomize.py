# SPDX-License-Identifier: Apache-2.0
"""Python imports this file in every process of a run that has its folder on PYTHONPATH: it stops the run at a named
moment of a step, so that a kill lands in the middle of what the name says.

The process that comes by the moment writes its id into $KLEAR_KILL_DIR/reached and waits until the file `go` is there.
All others go on, and nothing else of the run is changed. The moment counts after $KLEAR_KILL_AFTER steps of this
attempt.
"""

import functools
import importlib.abc
import importlib.machinery
import os
import sys
import time
from pathlib import Path
from types import ModuleType

FOLDER = Path(os.environ.get("KLEAR_KILL_DIR", "/nonexistent"))
MOMENT = os.environ.get("KLEAR_KILL_MOMENT")
AFTER = int(os.environ.get("KLEAR_KILL_AFTER", "1"))
WAITS_S = 120.0


def _by(moment):
    """This process has come by `moment`."""
    if moment != MOMENT or not (FOLDER / "armed").exists():
        return
    try:
        descriptor = os.open(FOLDER / "reached", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    os.write(descriptor, str(os.getpid()).encode())
    os.close(descriptor)
    deadline = time.monotonic() + WAITS_S
    while not (FOLDER / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.002)


def _before(owner, name, moment, when=lambda *args, **kwargs: True):
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def by(*args, **kwargs):
        if when(*args, **kwargs):
            _by(moment)
        return inner(*args, **kwargs)

    setattr(owner, name, by)


def _after(owner, name, moment):
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def by(*args, **kwargs):
        result = inner(*args, **kwargs)
        _by(moment)
        return result

    setattr(owner, name, by)


def _shadow(module):
    """A module that has all that `module` has, so that one importer's view of it can be changed."""
    made = ModuleType(module.__name__)
    made.__getattr__ = functools.partial(getattr, module)
    return made


def _arm(module):
    inner, steps = module.KlearSyncTrainer.step, []

    @functools.wraps(inner)
    def step(self, *args, **kwargs):
        steps.append(self.global_steps)
        if len(steps) == AFTER + 1:
            (FOLDER / "step").write_text(str(self.global_steps))
            (FOLDER / "armed").touch()
        return inner(self, *args, **kwargs)

    module.KlearSyncTrainer.step = step


def _generation(module):
    """All prompts of the step have been sent out; the trainer is about to wait for the responses."""
    _before(module.GroupBuffer, "sample", "generation", lambda *_, partition_id, **__: partition_id == "train")


def _scoring(module):
    """A reward worker has got its first response of the step."""
    _before(module.KlearRewardManager, "run_single", "scoring")


def _update(module):
    """The actor has run its first forward pass and is about to go backward."""
    _before(module, "klear_loss", "update")


def _checkpoint(module):
    """The actor has written the model and is about to write the optimiser."""
    module.torch = _shadow(module.torch)
    _before(module.torch, "save", "checkpoint", lambda _, path, *__, **___: "optim_world_size" in str(path))


def _commit(module):
    """The trainer has renamed the complete checkpoint and is about to point the tracker at it."""
    module.os = _shadow(os)
    _before(module.os, "fsync", "commit")


def _weight_sync(module):
    """The actor has sent a bucket of weights; the rollout engine has not acknowledged it."""
    _after(module._WatchedSocket, "send_pyobj", "weight sync")


HOOKS = {
    "klear_verl.trainer.klear_sync": _arm,
    "klear_verl.trainer.buffer": _generation,
    "klear_verl.reward.manager": _scoring,
    "klear_verl.trainer.loss": _update,
    "verl.utils.checkpoint.fsdp_checkpoint_manager": _checkpoint,
    "klear_verl.trainer.checkpoints": _commit,
    "klear_verl.patches": _weight_sync,
}


class _Loader(importlib.abc.Loader):
    def __init__(self, inner, hook):
        self.inner, self.hook = inner, hook

    def create_module(self, spec):
        return self.inner.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.inner
        self.inner.exec_module(module)
        self.hook(module)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname not in HOOKS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            spec.loader = _Loader(spec.loader, HOOKS[fullname])
        return spec


if MOMENT:
    sys.meta_path.insert(0, _Finder())
