# SPDX-License-Identifier: Apache-2.0
"""The engine of `klear score`: scores a file of rows into a file of results, in order, resuming where an earlier run
stopped.

Every row that can be scored gets one output row, in input order, recognised by its id; a bad row is reported with
its line number and gets none. A resumed run expects the results in the file to be those of the first rows of the
input, and the reward configuration to be that of the run it continues (kept in OUT.resume until the file is
complete); otherwise it refuses, for the file would mix two things.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from klear_verl.errors import DataError
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.result import ScoreResult
from klear_verl.reward.rows import BadRow, InputRow, ResultFile, count_rows, read_rows
from klear_verl.reward.scorer import Scorer

_QUEUED_PER_JOB = 4


@dataclass
class ScoreSummary:
    """What became of the rows: `scored` (graded and malformed), `ungraded`, `bad`; `correct` and `malformed` are
    among the scored ones."""

    rows: int = 0
    resumed: int = 0
    scored: int = 0
    correct: int = 0
    malformed: int = 0
    ungraded: int = 0
    bad: int = 0
    stopped: bool = False

    @property
    def complete(self) -> bool:
        """Whether every row was scored."""
        return self.scored == self.rows and not self.stopped

    def add(self, acc: bool | None, status: str) -> None:
        """Counts one output row."""
        self.scored += status != "ungraded"
        self.ungraded += status == "ungraded"
        self.malformed += status == "malformed"
        self.correct += acc is True

    def line(self) -> str:
        """The last line that a user sees."""
        parts = [f"{self.scored} of {self.rows} rows scored", f"{self.correct} correct"]
        parts += [f"{n} {name}" for name, n in (("malformed", self.malformed), ("ungraded", self.ungraded)) if n]
        parts += [f"{self.bad} bad"] * bool(self.bad) + [f"{self.resumed} from an earlier run"] * bool(self.resumed)
        return ", ".join(parts) + (" (stopped at the first bad row)" if self.stopped else "")


def score_file(
    source: Path,
    out: Path,
    config: RewardConfig,
    *,
    jobs: int = 1,
    strict: bool = False,
    progress: bool = True,
    messages: TextIO | None = None,
) -> ScoreSummary:
    """Scores the rows of `source` into `out`.

    Args:
        jobs: rows scored at once; also the number of grader processes and judge slots.
        strict: stop at the first bad row, with the rows before it written.
        messages: where bad rows and the progress bar go; standard error by default.

    Raises:
        DataError: a file that cannot be read, or an `out` that is not the beginning of this job.
        EnvironmentProblem: graders or judge cannot work on this machine.
    """
    stream = messages or sys.stderr
    summary = ScoreSummary(rows=count_rows(source))
    if out.exists() and source.samefile(out):
        raise DataError(f"{out}: input and output are the same file", "give another --out")
    results = ResultFile(out)
    try:
        _check_same_config(out, config, fresh=not results.existing)
        config = _with_jobs(config, jobs)
        with Scorer(config) as scorer, tqdm(total=summary.rows, file=stream, unit="row", disable=not progress) as bar:
            for row, item in _outcomes(scorer, source, [done["id"] for done in results.existing], out, jobs):
                if isinstance(item, BadRow):
                    summary.bad += 1
                    bar.write(f"{source}, line {item.line}: {item.reason}", file=stream)
                    if strict:
                        summary.stopped = True
                        break
                elif isinstance(item, ScoreResult):
                    assert isinstance(row, InputRow)
                    results.append(item, row.id)
                    summary.add(item.acc, item.status)
                    if item.status == "ungraded":
                        bar.write(f"row '{item.id}': ungraded: {item.detail}", file=stream)
                else:
                    earlier = results.existing[item]
                    summary.resumed += 1
                    summary.add(earlier["acc"], earlier["status"])
                bar.set_postfix(_shares(summary), refresh=False)
                bar.update()
    finally:
        results.close()
    return summary


def _outcomes(
    scorer: Scorer, source: Path, done: list[object], out: Path, jobs: int
) -> Iterator[tuple[InputRow | BadRow, ScoreResult | BadRow | int]]:
    """Per input row and in order: its new result, what is wrong with it, or the index of its earlier result."""
    waiting: deque[tuple[InputRow | BadRow, Future[ScoreResult] | int | None]] = deque()
    matched = 0
    with ThreadPoolExecutor(jobs, thread_name_prefix="klear-score") as threads:
        try:
            for row in read_rows(source):
                if isinstance(row, BadRow):
                    waiting.append((row, None))
                elif matched < len(done) and row.id == done[matched]:
                    waiting.append((row, matched))
                    matched += 1
                elif matched < len(done) and not _is_bad(scorer, row):
                    # A row that is bad now was bad in the earlier run too, and got no result; this one lacks its own.
                    raise _mismatch(out, matched, done[matched], f"'{row.id}' (line {row.line})")
                else:
                    waiting.append((row, threads.submit(scorer.score, row.request)))
                if len(waiting) > _QUEUED_PER_JOB * jobs:
                    yield _settle(*waiting.popleft())
            if matched < len(done):
                raise _mismatch(out, matched, done[matched], "nothing")
            while waiting:
                yield _settle(*waiting.popleft())
        finally:
            for _, pending in waiting:
                if isinstance(pending, Future):
                    pending.cancel()


def _settle(
    row: InputRow | BadRow, pending: Future[ScoreResult] | int | None
) -> tuple[InputRow | BadRow, ScoreResult | BadRow | int]:
    if isinstance(row, BadRow) or pending is None:
        assert isinstance(row, BadRow)
        return row, row
    if isinstance(pending, int):
        return row, pending
    try:
        return row, pending.result()
    except DataError as error:
        return row, BadRow(row.line, str(error))


def _is_bad(scorer: Scorer, row: InputRow) -> bool:
    try:
        scorer.check(row.request)
    except DataError:
        return True
    return False


def _mismatch(out: Path, index: int, found: object, expected: str) -> DataError:
    return DataError(
        f"{out}, line {index + 1}: holds the result of '{found}' where the input has {expected}, so it is not the "
        "beginning of this job",
        "choose another --out, move the file away, or pass --overwrite to start anew",
    )


def _check_same_config(out: Path, config: RewardConfig, fresh: bool) -> None:
    """Notes the configuration beside `out` for a fresh run, and compares it for a resumed one."""
    note = out.with_name(out.name + ".resume")
    mine = config.model_dump(mode="json")
    if not fresh and note.exists():
        theirs = json.loads(note.read_text())
        changed = [key for key in mine if theirs.get(key) != mine[key]]
        if changed:
            raise DataError(
                f"{out}: was begun with other values of {', '.join(f'reward.{key}' for key in changed)}",
                "resume with the same options, choose another --out, or pass --overwrite to start anew",
            )
    if fresh:
        note.write_text(json.dumps(mine))


def _with_jobs(config: RewardConfig, jobs: int) -> RewardConfig:
    return config.model_copy(
        update={
            "math": config.math.model_copy(update={"workers": jobs}),
            "judge": config.judge.model_copy(update={"slots": jobs}),
        }
    )


def _shares(summary: ScoreSummary) -> dict[str, str]:
    seen = summary.scored + summary.ungraded + summary.bad
    counts = Counter(correct=summary.correct, malformed=summary.malformed, ungraded=summary.ungraded, bad=summary.bad)
    return {name: f"{count / seen:.0%}" for name, count in counts.items() if count or name == "correct"}
