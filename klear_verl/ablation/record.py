# SPDX-License-Identifier: Apache-2.0
"""OUT/ablation.json: every comparison made in OUT, its spec, arms and runs, and how far each run is.

    {"ablations": {NAME: {"spec": {…}, "updated": "…", "arms": {ARM: {"digest": "…", "runs": {SEED: RUN}}}}}}

where RUN is {"dir": "runs/…", "status": "finished", "detail": null}.

Directories are relative to OUT, which may be moved. Several specs may use one OUT; each has its own entry.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from klear_verl.ablation.plan import PlannedRun
from klear_verl.ablation.spec import AblationSpec
from klear_verl.errors import ConfigError, DataError
from klear_verl.launch.run_dir import write_atomically

RunStatus = Literal["waiting", "running", "finished", "failed", "interrupted"]


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keeps every other `klear ablate` out of `out` inside the block; it ends with this process, however that ends.

    Raises:
        ConfigError: another one is at work there.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another `klear ablate` is running in {out}", "wait for it, end it, or choose another --out"
            ) from error
        yield


class Record:
    """The entry of one spec in `out`/ablation.json; every change is written at once, and whole."""

    def __init__(self, out: Path, spec: AblationSpec, runs: Sequence[PlannedRun]):
        """Replaces an earlier entry of the same name; entries of other specs stay.

        Raises:
            DataError: the file is there and damaged.
        """
        self._path = out / "ablation.json"
        self._others = {name: entry for name, entry in _read(self._path).items() if name != spec.name}
        self._name = spec.name
        self._spec = spec.model_dump(mode="json", exclude={"prepare"})
        self._arms: dict[str, dict[str, Any]] = {}
        for run in runs:
            arm = self._arms.setdefault(run.arm.name, {"digest": run.arm.digest, "runs": {}})
            status: RunStatus = "finished" if run.is_finished else "waiting"
            arm["runs"][str(run.seed)] = {
                "dir": str(run.directory.relative_to(out)),
                "status": status,
                "detail": None,
            }
        self._write()

    def set(self, run: PlannedRun, status: RunStatus, detail: str | None = None) -> None:
        """Notes how far a run is; `detail` is the reason where it failed."""
        self._arms[run.arm.name]["runs"][str(run.seed)].update(status=status, detail=detail)
        self._write()

    def status(self, run: PlannedRun) -> RunStatus:
        """How far a run is."""
        return self._arms[run.arm.name]["runs"][str(run.seed)]["status"]

    def detail(self, run: PlannedRun) -> str | None:
        """Why a run failed."""
        return self._arms[run.arm.name]["runs"][str(run.seed)]["detail"]

    def _write(self) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"spec": self._spec, "updated": now, "arms": self._arms}
        write_atomically(self._path, json.dumps({"ablations": {**self._others, self._name: entry}}, indent=2) + "\n")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["ablations"]
        return dict(entries)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a record of ablations: {error}", "move it away (finished runs are found again without it)"
        ) from error
