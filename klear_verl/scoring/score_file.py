# SPDX-License-Identifier: Apache-2.0
"""The engine of `klear score`: scores a file of rows into a file of results, in order, resuming where an earlier run
stopped.

Every row that can be scored gets one output row, in input order, recognised by its id; a bad row is reported with
its line number and gets none. A resumed run expects the results in the file to be those of the first rows of the
input, and the reward configuration to be that of the run it continues; otherwise it refuses, for the file would mix
two things. Both files are read as streams: in memory are the rows being scored, and the ids.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from klear_verl.data.rows import count_rows, read_rows
from klear_verl.data.schemas import SCORE_COLUMNS, ScoreRow, score_rows
from klear_verl.errors import DataError
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.score import Score, ScoreRequest
from klear_verl.scoring.output import ResultFile, ScoreSummary, check_same_config
from klear_verl.scoring.workers import ScoreWorkers
from klear_verl.utils.progress import ProgressLine

_AHEAD_ROWS_PER_JOB = 64
"""Rows that may be scored before the one that is next in the file: one slow row must not leave the others idle."""
_AHEAD_BYTES = 64 << 20


def score_file(
    source: Path,
    out: Path,
    config: RewardConfig,
    *,
    jobs: int = 1,
    strict: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    messages: TextIO | None = None,
) -> ScoreSummary:
    """Scores the rows of `source` into `out`.

    Args:
        jobs: rows scored at once; also the number of grader processes and judge slots. More than a few start processes
            that import the caller's main module, which must not score by being imported.
        strict: stop at the first bad row, with the rows before it written.
        overwrite: drop what `out` holds instead of resuming.
        messages: where bad rows and the progress bar go; standard error by default.

    Raises:
        DataError: a file that cannot be read, or an `out` that is not the beginning of this job.
        EnvironmentProblem: graders or judge cannot work on this machine.
    """
    summary = ScoreSummary(rows=_count(source))
    if out.exists() and source.samefile(out):
        raise DataError(f"{out}: input and output are the same file", "give another --out")
    results = ResultFile(out, overwrite)
    try:
        check_same_config(out, config.model_dump(mode="json"), fresh=results.fresh)
        line = ProgressLine(
            "score", summary.rows, unit="row", describe=summary.shares, stream=messages or sys.stderr, enabled=progress
        )
        with ScoreWorkers(config, jobs) as workers, line:
            for outcome in _outcomes(workers, source, out, results, jobs):
                if isinstance(outcome, DataError):
                    summary.bad += 1
                    line.say(str(outcome))
                    if strict:
                        summary.stopped = True
                        break
                elif isinstance(outcome, _Scored):
                    result = outcome.result
                    results.append(result, outcome.row.id)
                    summary.add(result.acc, result.status, result.verdicts)
                    if result.status == "ungraded":
                        line.say(f"row '{result.id}': ungraded: {result.detail}")
                else:
                    summary.resumed += 1
                    summary.add(outcome["acc"], outcome["status"], outcome["verdicts"])
                line.advance()
    finally:
        results.close()
    return summary


def _count(source: Path) -> int:
    if not source.is_file():
        raise DataError(f"{source}: no such file", "give the path of a file with the rows to score")
    if rows := count_rows(source):
        return rows
    raise DataError(f"{source} has no rows", f"write one JSON object per line, with {', '.join(SCORE_COLUMNS)}")


class _Scored(NamedTuple):
    row: ScoreRow
    result: Score


def _outcomes(
    workers: ScoreWorkers, source: Path, out: Path, results: ResultFile, jobs: int
) -> Iterator[DataError | _Scored | dict[str, Any]]:
    """Per input row and in order: what is wrong with it, its result, or the output row that an earlier run wrote."""
    rows = score_rows(read_rows(source, SCORE_COLUMNS, ["extra_info"]))
    for number, done in enumerate(results.earlier(), start=1):
        for row in rows:
            if isinstance(row, DataError):
                yield row
            elif row.id == done["id"]:
                yield done
                break
            else:
                # A row that is bad now was bad in the earlier run too, and got no result; any other lacks its own.
                bad = _bad(workers, row)
                if bad is None:
                    raise _mismatch(out, number, done["id"], f"'{row.id}' ({row.where})")
                yield bad
        else:
            raise _mismatch(out, number, done["id"], "nothing")
    results.start()
    yield from _scored(workers, rows, jobs)


def _scored(workers: ScoreWorkers, rows: Iterator[ScoreRow | DataError], jobs: int) -> Iterator[DataError | _Scored]:
    waiting: deque[tuple[DataError, None] | tuple[ScoreRow, Future[Score]]] = deque()
    bytes_ahead = 0
    for row in rows:
        if isinstance(row, DataError):
            waiting.append((row, None))
        else:
            bytes_ahead += row.size_bytes
            waiting.append((row, workers.submit(_request(row))))
        while waiting:
            first, future = waiting[0]
            full = bytes_ahead > _AHEAD_BYTES or len(waiting) > _AHEAD_ROWS_PER_JOB * jobs
            if future is not None and not future.done() and not full:
                break
            waiting.popleft()
            bytes_ahead -= first.size_bytes if isinstance(first, ScoreRow) else 0
            yield _settled(workers, first, future)
    for first, future in waiting:
        yield _settled(workers, first, future)


def _settled(workers: ScoreWorkers, row: ScoreRow | DataError, future: Future[Score] | None) -> DataError | _Scored:
    if future is None or isinstance(row, DataError):
        assert isinstance(row, DataError)
        return row
    try:
        return _Scored(row, workers.result(future))
    except DataError as error:
        return error


def _bad(workers: ScoreWorkers, row: ScoreRow) -> DataError | None:
    try:
        workers.check(_request(row))
    except DataError as error:
        return error
    return None


def _request(row: ScoreRow) -> ScoreRequest:
    return ScoreRequest(str(row.id), row.data_source, row.response, row.ground_truth, row.extra_info, row.where)


def _mismatch(out: Path, line: int, found: object, expected: str) -> DataError:
    return DataError(
        f"{out}, line {line}: holds the result of '{found}' where the input has {expected}, so it is not the "
        "beginning of this job",
        "choose another --out, move the file away, or pass --overwrite to start anew",
    )
