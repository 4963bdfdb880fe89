# SPDX-License-Identifier: Apache-2.0
"""One attempt at a run: started, stopped at a moment, one of its processes killed, and what came of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from kill_bench.marked import MarkedCommand

MOMENTS = Path(__file__).parent / "moments"
TRACKER = "checkpoints/latest_checkpointed_iteration.txt"

VICTIMS = {
    "klear train": "klear train",
    "keeper": "klear_verl.launch.reaper",
    "driver": "-m klear_verl.launch.rl_driver",
    "TaskRunner": "ray::TaskRunner",
    "WorkerDict": "ray::WorkerDict",
    "vLLMHttpServer": "ray::vLLMHttpServer",
    "EngineCore": "VLLM::EngineCore",
    "AgentLoopWorker": "ray::AgentLoopWorker",
    "GlobalRequestLoadBalancer": "ray::GlobalRequestLoadBalancer",
    "RewardLoopWorker": "ray::RewardLoopWorker",
    "JudgeActor": "ray::JudgeActor",
    "TransferQueueController": "ray::TransferQueueController",
    "SimpleStorageUnit": "ray::SimpleStorageUnit",
    "raylet": "/raylet/raylet",
    "gcs_server": "/gcs/gcs_server",
}
"""What the command line of each process of a run contains, or begins with where Ray or vLLM has renamed it."""

REPLACED = ("JudgeActor",)
"""Whose death the run is to survive: another one takes its place, and the work is done again."""


@dataclass
class Outcome:
    """What a kill led to."""

    moment: str
    victim: str
    step: int
    """The step in which the kill fell."""
    resumed_from: int
    """The last complete checkpoint that the attempt began with."""
    checkpoint: int
    """The last complete checkpoint that it left."""
    status: int | None
    """Exit status of the command; None: it hung and was ended."""
    ended_s: float
    """From the kill to the end of the command and of all its processes; it is interrupted where it trains on."""
    message: str
    left: list[str] = field(default_factory=list)
    """Processes that outlived the command."""
    shared_memory: list[str] = field(default_factory=list)
    """Segments that the run had mapped and that are still there."""

    @property
    def clean(self) -> bool:
        """Whether the command ended by itself, unsuccessfully, or trained on if it should, and left nothing behind."""
        as_it_should = self.checkpoint > self.step if self.victim in REPLACED else self.status not in (None, 0)
        return as_it_should and not self.left and not self.shared_memory


class Attempt(MarkedCommand):
    """The command `command`, with a folder for its traces; it stops at `moment`, in the step after `after` steps.
    Nothing of it is left at the end of the `with` block."""

    def __init__(self, command: list[str], folder: Path, run_dir: Path, moment: str | None = None, after: int = 1):
        self.folder, self.run_dir, self.moment = folder, run_dir, moment
        folder.mkdir(parents=True)
        environment = {
            "KLEAR_KILL_MOMENT": moment or "",
            "KLEAR_KILL_AFTER": str(after),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(MOMENTS), os.environ.get("PYTHONPATH")])),
        }
        self.resumed_from = tracked_step(run_dir)
        super().__init__(command, folder / "output", environment, mark=f"KLEAR_KILL_DIR={folder}")

    def find(self, victim: str) -> list[psutil.Process]:
        """The processes that `victim` names."""
        return [process for process in self.processes() if VICTIMS[victim] in " ".join(_command(process))]

    def wait_for_the_moment(self, patience_s: float) -> None:
        """Until a process of the run has stopped at the moment."""
        deadline = time.monotonic() + patience_s
        while not (self.folder / "reached").exists():
            if self.process.poll() is not None:
                raise RuntimeError(f"ended before '{self.moment}':\n{self.output[-3000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"'{self.moment}' was not reached in {patience_s:.0f} s:\n{self.output[-3000:]}")
            time.sleep(0.005)

    def kill(self, victim: str, patience_s: float = 300.0) -> Outcome:
        """Sends SIGKILL to `victim`, has the rest go on, and waits for the end."""
        assert self.moment
        victims = [self.root] if victim == "klear train" else self.find(victim)
        if not victims:
            raise RuntimeError(f"no process '{victim}' in the run")
        self.mapped_segments()
        for process in victims:
            process.send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        if victim != "klear train":  # of which nobody else in the run would know for a moment, and go on
            (self.folder / "go").touch()
        if victim in REPLACED:
            self._wait_for_the_next_step(patience_s)
            self.process.terminate()
        try:
            status: int | None = self.process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            status = None
        ends_by = time.monotonic() + (60.0 if victim == "klear train" else 0.0)  # nobody waits for the others there
        while (left := self.processes()) and time.monotonic() < ends_by:
            time.sleep(0.1)
        ended_s = time.monotonic() - killed_at
        described = [f"{process.pid} {' '.join(_command(process))[:80]}" for process in left]
        segments = self.segments_left()
        self.end()
        return Outcome(
            moment=self.moment,
            victim=victim,
            step=int((self.folder / "step").read_text()),
            resumed_from=self.resumed_from,
            checkpoint=tracked_step(self.run_dir),
            status=status,
            ended_s=round(ended_s, 1),
            message=self._message(),
            left=described if status is not None else [],
            shared_memory=segments,
        )

    def _wait_for_the_next_step(self, patience_s: float) -> None:
        """Until the step after the one of the kill is saved, or the command ends."""
        step, deadline = int((self.folder / "step").read_text()), time.monotonic() + patience_s
        while tracked_step(self.run_dir) <= step and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)

    def _message(self) -> str:
        """The first line of what the command said, with the class of the dead actor where Ray names one."""
        said = self.output.partition("klear: the run failed: ")[2]
        actor = re.search(r"class_name: (?:.*\.)?(\w+)", said)
        return said.partition("\n")[0] + (f" ({actor[1]})" if actor else "")


def tracked_step(run_dir: Path) -> int:
    """The step of the checkpoint from which the next attempt will go on; 0 without one."""
    tracker = run_dir / TRACKER
    return int(tracker.read_text()) if tracker.is_file() else 0


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
