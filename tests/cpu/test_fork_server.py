# SPDX-License-Identifier: Apache-2.0
"""A process started through the fork server is what the interpreter would have made of the same command, and has the
server's imports for nothing."""

import os
import subprocess
import sys
import textwrap

import pytest

DRIVER = """
import json, subprocess, sys, wave
from pathlib import Path
from klear_verl.cpu import fork_server

def main():
    program = Path(sys.argv[1])
    fork_server.start(program)
    {body}

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def driver(tmp_path):
    """Runs statements in a process that has started a fork server; returns what it printed."""

    def run(body: str) -> str:
        script = tmp_path / "driver.py"
        script.write_text(DRIVER.format(body=textwrap.indent(textwrap.dedent(body), " " * 4).strip()))
        command = [sys.executable, str(script), str(tmp_path / "python")]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=250).stdout.strip()

    return run


def test_arguments_environment_and_folder_arrive_and_imports_are_there(driver):
    said = driver("""
        code = "import os, sys; print(sys.argv, os.environ['X'], os.getcwd(), 'wave' in sys.modules, flush=True)"
        subprocess.run([program, "-u", "-c", code, "a b"], env={"X": "y"}, cwd="/", check=True)
    """)
    assert said == "['-c', 'a b'] y / True"


def test_script_is_main_and_its_folder_leads_the_path(driver, tmp_path):
    (tmp_path / "helper.py").write_text("word = 'found'")
    (tmp_path / "script.py").write_text("import helper; print(__name__, helper.word, flush=True)")
    assert driver(f"subprocess.run([program, {str(tmp_path / 'script.py')!r}], check=True)") == "__main__ found"


@pytest.mark.parametrize(
    ("code", "status"),
    [("pass", 0), ("raise SystemExit(3)", 3), ("1 / 0", 1), ("import os; os.kill(os.getpid(), 9)", -9)],
)
def test_status_is_that_of_the_process(driver, code, status):
    run = f"print(subprocess.run([program, '-c', {code!r}], stderr=subprocess.DEVNULL).returncode)"
    assert driver(run) == str(status)


def test_open_files_keep_their_numbers_and_pipes_end(driver):
    said = driver("""
        import os
        reads, writes = os.pipe()
        code = f"import os; os.write({writes}, b'through')"
        child = subprocess.Popen([program, "-c", code], pass_fds=[writes])
        os.close(writes)
        print(os.read(reads, 100), os.read(reads, 100), child.wait())
    """)
    assert said == "b'through' b'' 0"


def test_multiprocessing_spawns_through_it(driver):
    said = driver("""
        code = '''
        import multiprocessing
        context = multiprocessing.get_context("spawn")
        queue = context.SimpleQueue()
        child = context.Process(target=queue.put, args=(5,))
        child.start()
        print(queue.get(), child.join(), child.exitcode, multiprocessing.spawn.get_executable(), flush=True)
        '''
        import textwrap
        subprocess.run([program, "-c", textwrap.dedent(code)], check=True)
    """)
    assert said.split()[:3] == ["5", "None", "0"]
    assert said.endswith("/python'") or said.endswith("/python")


def test_signal_to_the_stand_in_reaches_the_process(driver):
    said = driver("""
        handler = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7));"
        code = handler + "print(1, flush=True); time.sleep(60)"
        child = subprocess.Popen([program, "-c", code], stdout=subprocess.PIPE)
        child.stdout.readline()
        child.terminate()
        print(child.wait())
    """)
    assert said == "7"


def test_process_ends_with_its_stand_in_and_all_with_the_driver(driver, tmp_path):
    said = driver("""
        import os
        code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        one, two = (subprocess.Popen([program, "-c", code], stdout=subprocess.PIPE) for _ in range(2))
        pids = [int(child.stdout.readline()) for child in (one, two)]
        gone = os.pidfd_open(pids[0])
        one.kill()
        import select
        print(bool(select.select([gone], [], [], 30)[0]), flush=True)
        two.kill()
    """)
    assert said == "True"


def test_without_a_server_it_is_the_interpreter(driver, tmp_path):
    driver("pass")
    code = "import sys; print('wave' in sys.modules)"
    found = subprocess.run([tmp_path / "python", "-c", code], check=True, capture_output=True, text=True, timeout=250)
    assert found.stdout.strip() == "False"


def test_options_of_the_interpreter_make_it_the_interpreter(driver):
    assert driver("subprocess.run([program, '-I', '-c', 'import sys; print(sys.flags.isolated)'], check=True)") == "1"


def test_server_imports_no_ray():
    """Ray's library reads its process's environment when it is loaded: a fork would have the driver's."""
    code = "import sys; from klear_verl.cpu import fork_server; fork_server.load(); print('ray' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, timeout=300)
    assert run.stdout.splitlines()[-1] == "False", run.stderr
