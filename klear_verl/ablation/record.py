# SPDX-License-Identifier: Apache-2.0
"""OUT/ablation.json: every comparison made in OUT, its spec, arms and runs, and how far each run is.

    {"ablations": {NAME: {"spec": {…}, "updated": "…", "arms": {ARM: {"digest": "…", "runs": {SEED: RUN}}}}}}

where RUN is {"dir": "runs/…", "status": "finished", "detail": null}.

Directories are relative to OUT, which may be moved. Several specs may use one OUT; each has its own entry.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from klear_verl.ablation.plan import PlannedRun
from klear_verl.ablation.spec import AblationSpec
from klear_verl.errors import DataError
from klear_verl.utils.files import write_json

RunStatus = Literal["waiting", "running", "finished", "failed", "interrupted"]


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
        write_json(self._path, {"ablations": {**self._others, self._name: entry}})


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
