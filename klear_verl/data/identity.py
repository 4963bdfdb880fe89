# SPDX-License-Identifier: Apache-2.0
"""Which data a checkpoint's place in the data belongs to.

The loader's state is a position in a permutation of row numbers. Over other data, be it in files of the same names, it
would repeat some prompts and leave out others without a word. So each checkpoint says in `data.json` how many rows
there were and what their files held. Files are compared byte by byte: the same rows, written anew by another version of
a library, count as other content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

from klear_verl.errors import DataError
from klear_verl.utils.files import write_json

FILE = "data.json"
FILES_OF = ("data_files", "parquet_files")
"""Where verl's data sets keep the local copies of their files: RLHFDataset, MultiTurnSFTDataset."""


class DataIdentity(TypedDict):
    """What `data.json` holds."""

    rows: int
    """Of the data set, after filtering."""
    sha256: str | None
    """Over the files' contents in their order; None where they are unknown, and rows alone are compared."""


def data_identity(dataset: Any) -> DataIdentity:
    """What is compared of a data set: verl's, or a class of the user's."""
    files = next((getattr(dataset, name) for name in FILES_OF if hasattr(dataset, name)), None)
    return {"rows": len(dataset), "sha256": _digest(files)}


def save_identity(folder: Path, identity: DataIdentity) -> None:
    """Writes `data.json` into a checkpoint's folder."""
    write_json(folder / FILE, identity, indent=None)


def check_identity(folder: Path, identity: DataIdentity, model_key: str = "actor_rollout_ref.model.path") -> None:
    """Compares the data of this attempt with a checkpoint's. One that was saved without `data.json` passes.

    Args:
        folder: the checkpoint's.
        identity: of this attempt's data set.
        model_key: the option by which a new run begins with the checkpoint's weights.

    Raises:
        DataError: names the checkpoint and what differs.
    """
    file = folder / FILE
    if not file.is_file():
        return
    then = _read(file)
    if then["rows"] != identity["rows"]:
        difference = f"{then['rows']} rows then, {identity['rows']} now"
    elif then["sha256"] and identity["sha256"] and then["sha256"] != identity["sha256"]:
        difference = f"the same number of rows ({identity['rows']}), other content"
    else:
        return
    raise DataError(
        f"the checkpoint {folder} was saved with other data: {difference}; from its place in the data some rows would "
        "be repeated and others left out",
        f"give the old data back to continue; or start a new run from {_weights(folder, model_key)}, with another "
        "klear.run_dir",
    )


def _digest(files: Iterable[str] | None) -> str | None:
    if files is None:
        return None
    paths = [Path(file) for file in ([files] if isinstance(files, str) else files)]
    if not all(path.is_file() for path in paths):  # read from elsewhere by the data set itself
        return None
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as opened:
            total.update(hashlib.file_digest(opened, "sha256").digest())
    return total.hexdigest()


def _read(file: Path) -> DataIdentity:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {"rows": int(found["rows"]), "sha256": found["sha256"]}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} does not say which data the checkpoint was saved with: {error!r}",
            "restore the file; without it the checkpoint is continued on whatever data there is",
        ) from error


def _weights(folder: Path, model_key: str) -> str:
    for copy in (folder / "actor" / "huggingface", folder / "huggingface"):  # RL, SFT
        if any(copy.glob("*.safetensors")):
            return f"the checkpoint's Hugging Face copy ({model_key}={copy})"
    return f"a Hugging Face copy of the checkpoint (python -m verl.model_merger makes one; {model_key}=that copy)"
