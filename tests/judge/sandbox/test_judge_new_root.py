# SPDX-License-Identifier: Apache-2.0
"""Wherever the Python environment lies, the new root holds it and nothing else, and every namespace is kept."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import klear_verl
from klear_verl.judge import Limits
from klear_verl.judge.sandbox.layers import zygote_setup
from klear_verl.judge.sandbox.session import RunInput, Session
from klear_verl.judge.sandbox.supervisor import Zygote

LIMITS = Limits().for_run()
LOOK = "import json, os\nprint(json.dumps([[path, os.path.exists(path)] for path in PATHS]))"


@pytest.fixture(scope="module", autouse=True)
def needs_namespaces() -> None:
    zygote = Zygote(zygote_setup())
    refused = zygote.start()
    zygote.close()
    if refused:
        pytest.skip(f"no namespaces here: {refused}")


@pytest.fixture(params=["/tmp", "/dev/shm"])
def place(request: pytest.FixtureRequest) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="klear-root-", dir=request.param))
    yield folder
    shutil.rmtree(folder)


def package(folder: Path) -> Path:
    """A readable folder with a file in it, beside one that nobody named."""
    folder.mkdir(parents=True)
    (folder / "library.py").touch()
    (folder.parent / "secret").touch()
    return folder


def seen(readable: list[str], paths: list[str]) -> dict[str, bool]:
    """Which of `paths` exist for a program whose new root has `readable` too. Without Landlock, which hides more."""
    setup = zygote_setup()
    setup = dataclasses.replace(setup, readable=(*setup.readable, *readable), landlock=False)
    zygote = Zygote(setup)
    try:
        assert zygote.start() == ""
        source = f"PATHS = {paths!r}\n{LOOK}"
        with Session(zygote, source.encode(), LIMITS, LIMITS.cpu_s) as session:
            outcome = session.run(RunInput(), LIMITS)
        assert outcome.status == 0, outcome.stderr
        return dict(json.loads(outcome.stdout))
    finally:
        zygote.close()


def test_folder_in_a_folder_that_every_root_has(place: Path) -> None:
    inside = package(place / "env" / "lib")
    paths = [f"{inside}/library.py", f"{place}/env/secret", "/tmp", "/dev/null", "/dev/stdin", "/proc/self"]
    assert list(seen([str(inside)], paths).values()) == [True, False, True, True, True, True]


def test_folder_that_every_root_has_as_a_whole(place: Path) -> None:
    shared = str(place.parent)
    assert seen([shared], [str(place), "/tmp", "/dev/null"]) == {str(place): True, "/tmp": True, "/dev/null": True}


def test_folder_inside_another_in_either_order(place: Path) -> None:
    outer, inner = package(place / "outer"), package(place / "outer" / "inner")
    paths = [f"{outer}/library.py", f"{inner}/library.py"]
    for readable in ([str(outer), str(inner)], [str(inner), str(outer)]):
        assert all(seen(readable, paths).values())


def test_folder_behind_links_absolute_and_relative(place: Path) -> None:
    real = package(place / "real" / "lib")
    (place / "absolute").symlink_to(place / "real")
    (place / "relative").symlink_to("absolute")
    (place / "to_lib").symlink_to("relative/lib")
    readable = [
        str(place / "to_lib"),
        str(place / "absolute" / "lib"),
        str(place / "relative" / ".." / "relative" / "lib"),
    ]
    paths = [f"{path}/library.py" for path in (*readable, real)] + [str(place / "real" / "secret")]
    assert list(seen(readable, paths).values()) == [True, True, True, True, False]
    assert sorted(path.name for path in place.iterdir()) == ["absolute", "real", "relative", "to_lib"]


def test_links_that_lead_nowhere_or_to_themselves_are_left_alone(place: Path) -> None:
    (place / "nowhere").symlink_to("missing")
    (place / "circle").symlink_to("circle")
    readable = [str(place / "nowhere" / "lib"), str(place / "circle" / "lib"), str(place / "missing")]
    assert not any(seen(readable, readable).values())


@pytest.mark.parametrize("path", ["/sys/kernel", "/proc/self", "/proc/self/fd", "/dev", "/sys"])
def test_folder_that_the_new_root_is_made_of(path: str) -> None:
    assert seen([path], [path, "/dev/null", "/proc/self", "/tmp"]) == dict.fromkeys(
        [path, "/dev/null", "/proc/self", "/tmp"], True
    )


@pytest.mark.parametrize("name", ["tmp", "proc", "sys", "dev"])
def test_folder_named_like_one_of_the_roots(place: Path, name: str) -> None:
    inside = package(place / name / "lib")
    assert seen([str(inside)], [f"{inside}/library.py"]) == {f"{inside}/library.py": True}


@pytest.mark.parametrize("linked", [False, True], ids=["itself", "by a link"])
def test_judge_in_an_environment_in_such_a_place_has_every_namespace(place: Path, linked: bool) -> None:
    """The package, its environment and its temporary files all lie there, as in a clone."""
    place.chmod(0o755)
    home = place / "clone"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home / ".venv")], check=True)
    shutil.copytree(Path(klear_verl.__file__).parent, home / "klear_verl", ignore=shutil.ignore_patterns("__pycache__"))
    if linked:
        (place / "link").symlink_to("clone")
        home = place / "link"
    code = (
        "import sysconfig\nfrom pathlib import Path\n"
        "Path(sysconfig.get_path('purelib'), 'installed_here.py').write_text('ANSWER = 42')\n"
        "from klear_verl.judge import Judge, Problem, StdioTest\n"
        "with Judge() as judge:\n"
        "    problem = Problem(id='x', tests=(StdioTest(input='', output='42'),))\n"
        "    judgement = judge.run(problem, 'import installed_here; print(installed_here.ANSWER)')\n"
        "    print(judge.reasons, judgement.acc, judgement.detail, *judge.layers)\n"
    )
    libraries = os.pathsep.join([str(home), sysconfig.get_path("purelib")])
    environment = {**os.environ, "PYTHONPATH": libraries, "TMPDIR": str(place)}
    python = str(home / ".venv" / "bin" / "python")
    printed = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd="/")
    assert {"pid_namespace", "ipc_namespace", "net_namespace", "mount_namespace"} <= set(printed.stdout.split())
    assert "True" in printed.stdout.split(), printed.stdout
