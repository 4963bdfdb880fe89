# SPDX-License-Identifier: Apache-2.0
"""The `klear` command: its help, its exit statuses, its messages."""

import subprocess
import sys

import pytest

from klear_verl import __version__, cli
from klear_verl.errors import DataError


@pytest.fixture
def room(monkeypatch):
    """Makes `klear score` run a function of the test."""

    class Room:
        main: staticmethod

    monkeypatch.setattr(cli.importlib, "import_module", lambda name: Room)
    return Room


def raising(error):
    def main(argv):
        raise error

    return staticmethod(main)


def test_help_names_every_command_and_succeeds(capsys):
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in cli.COMMANDS)


def test_no_command_shows_the_help_and_is_refused(capsys):
    assert cli.main([]) == 2
    assert "usage: klear COMMAND" in capsys.readouterr().out


def test_version_is_the_packages(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_an_unknown_command_is_named_on_stderr_and_refused(capsys):
    assert cli.main(["trian"]) == 2
    shown = capsys.readouterr()
    assert "unknown command 'trian'" in shown.err
    assert "train" in shown.err
    assert shown.out == ""


def test_the_rest_of_the_line_and_the_status_pass_through(room):
    room.main = staticmethod(lambda argv: len(argv) + 40)
    assert cli.main(["score", "a", "b"]) == 42


def test_a_users_problem_is_one_message_with_its_remedy_and_status_2(room, capsys):
    room.main = raising(DataError("rows.jsonl:3: no 'id'", "add it"))
    assert cli.main(["score"]) == 2
    assert capsys.readouterr().err == "klear: rows.jsonl:3: no 'id'\n  remedy: add it\n"


def test_an_interrupt_is_status_130_without_a_traceback(room, capsys):
    room.main = raising(KeyboardInterrupt())
    assert cli.main(["score"]) == 130
    assert capsys.readouterr().err == "klear: interrupted\n"


def test_a_fault_of_our_own_keeps_its_traceback(room):
    room.main = raising(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.main(["score"])


@pytest.mark.parametrize("target", [target for target, _ in cli.COMMANDS.values()])
def test_every_command_has_its_function(target):
    assert callable(cli.entry_point(target))


@pytest.mark.parametrize(("command", "recipe"), [("train", "quickstart/math_rl"), ("sft", "quickstart/sft")])
def test_training_commands_without_a_recipe_list_their_recipes_and_are_refused(command, recipe, capsys):
    assert cli.main([command]) == 2
    assert recipe in capsys.readouterr().out.split("recipes: ")[1]


def test_help_is_quick_because_it_imports_no_heavy_package():
    code = (
        "import sys; from klear_verl.cli import main; main(['--help']); "
        "sys.exit(bool({'torch', 'ray', 'verl', 'vllm', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, timeout=250).returncode == 0
