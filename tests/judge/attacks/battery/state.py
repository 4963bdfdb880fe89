# SPDX-License-Identifier: Apache-2.0
"""State that one test, or one solution, would leave for another. The receiver prints 42 if it finds something."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import FAILS, LIBC, SLOW, Attack, relay, script

# Name: (leave something, is it there?). `leave` may fail as it likes, `found` is an expression.
_CHANNELS = {
    "file_in_working_folder": ("open('klear_attack', 'w').write('42')", "os.path.exists('klear_attack')"),
    "folder_in_working_folder": ("os.mkdir('klear_attack')", "'klear_attack' in os.listdir('.')"),
    "file_in_tmp": ("open('/tmp/klear_attack_state', 'w').write('42')", "os.path.exists('/tmp/klear_attack_state')"),
    "file_in_var_tmp": (
        "open('/var/tmp/klear_attack_state', 'w').write('42')",
        "os.path.exists('/var/tmp/klear_attack_state')",
    ),
    "file_in_shared_memory": (
        "open('/dev/shm/klear_attack_state', 'w').write('42')",
        "os.path.exists('/dev/shm/klear_attack_state')",
    ),
    "file_in_public_folder": (
        "open('@FOLDER@/klear_attack', 'w').write('42')",
        "os.path.exists('@FOLDER@/klear_attack')",
    ),
    "file_in_library": (
        "open(os.path.dirname(os.__file__) + '/klear_attack.py', 'w').write('x = 42')",
        "os.path.exists(os.path.dirname(os.__file__) + '/klear_attack.py')",
    ),
    "hard_link": ("os.link(os.__file__, 'klear_attack')", "os.path.exists('klear_attack')"),
    "fifo": ("os.mkfifo('/tmp/klear_attack_fifo')", "os.path.exists('/tmp/klear_attack_fifo')"),
    "times_of_a_library_file": ("os.utime(os.__file__, (42, 42))", "os.stat(os.__file__).st_mtime == 42"),
    "extended_attribute": (
        "os.setxattr(os.__file__, 'user.klear_attack', b'42')",
        "b'42' == os.getxattr(os.__file__, 'user.klear_attack')",
    ),
    "shared_memory_segment": (
        "libc.shmget(0x6B6C6561, 4096, 0o1666)",
        "libc.shmget(0x6B6C6561, 0, 0) >= 0",
    ),
    "semaphore": ("libc.semget(0x6B6C6561, 1, 0o1666)", "libc.semget(0x6B6C6561, 0, 0) >= 0"),
    "message_queue": ("libc.msgget(0x6B6C6561, 0o1666)", "libc.msgget(0x6B6C6561, 0) >= 0"),
    "posix_message_queue": (
        "libc.syscall(240, b'klear_attack', 0o102, 0o666, None)",
        "libc.syscall(240, b'klear_attack', 2, 0, None) >= 0",
    ),
    "user_keyring": (
        "libc.syscall(248, b'user', b'klear_attack', b'42', 2, -4)",
        "libc.syscall(250, 10, -4, b'user', b'klear_attack', 0) >= 0",
    ),
    "session_keyring": (
        "libc.syscall(248, b'user', b'klear_attack', b'42', 2, -3)",
        "libc.syscall(250, 10, -3, b'user', b'klear_attack', 0) >= 0",
    ),
    "environment": ("os.environ.update(KLEAR='42')\nos.putenv('KLEAR', '42')", "os.getenv('KLEAR')"),
    "name_of_the_parent": (
        "open(f'/proc/{os.getppid()}/comm', 'w').write('klearattack')",
        "'klearattack' in open(f'/proc/{os.getppid()}/comm').read()",
    ),
    "priority_of_the_parent": (
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 7)",
        "os.getpriority(os.PRIO_PROCESS, os.getppid()) == 7",
    ),
    "priority_of_the_user": ("os.setpriority(os.PRIO_USER, 0, 7)", "os.getpriority(os.PRIO_PROCESS, 0) == 7"),
    "affinity_of_the_parent": (
        "os.sched_setaffinity(os.getppid(), {0})",
        "len(os.sched_getaffinity(os.getppid())) == 1 < os.cpu_count()",
    ),
    "limits_of_the_parent": (
        "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (23, 23))",
        "resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 23",
    ),
    "working_folder_of_the_parent": ("os.chdir('/tmp')", "os.getcwd() == '/tmp'"),
    "mask_and_signals": (
        "os.umask(0o123)\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "os.umask(0) == 0o123 or signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN",
    ),
    "timer": ("signal.setitimer(signal.ITIMER_REAL, 1000)", "signal.getitimer(signal.ITIMER_REAL)[0] > 0"),
    "host_name": ("socket.sethostname('klearattack')", "socket.gethostname() == 'klearattack'"),
    "abstract_socket": (
        "s = socket.socket(socket.AF_UNIX)\ns.bind('\\0klear_attack')\ns.listen()",
        "socket.socket(socket.AF_UNIX).connect_ex('\\0klear_attack') == 0",
    ),
    "loopback_port": (
        "s = socket.socket()\ns.bind(('127.0.0.1', 42042))\ns.listen()",
        "socket.socket().connect_ex(('127.0.0.1', 42042)) == 0",
    ),
    "offset_of_inherited_file": (
        "for fd in range(3, 64):\n    try: os.lseek(fd, 4242, 0)\n    except OSError: pass",
        "any(offset(fd) == 4242 for fd in range(3, 64))",
    ),
    "flags_of_inherited_files": (
        """
for fd in range(64):
    try: fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK)
    except OSError: pass
""",
        "any(flags(fd) & os.O_APPEND for fd in range(64))",
    ),
    "owner_of_inherited_files": (
        "for fd in range(64):\n    try: fcntl.fcntl(fd, fcntl.F_SETSIG, 42)\n    except OSError: pass",
        "any(signal_of(fd) == 42 for fd in range(64))",
    ),
    "lock_of_a_library_file": (
        "fcntl.flock(os.open(os.__file__, os.O_RDONLY), fcntl.LOCK_EX)",
        "locked(os.__file__)",
    ),
    "bytes_in_inherited_files": (
        "for fd in range(3, 64):\n    try: os.pwrite(fd, b'klearmark', 0)\n    except OSError: pass",
        "any(b'klearmark' in content(fd) for fd in range(3, 64))",
    ),
    "control_group": ("os.mkdir('/sys/fs/cgroup/klear_attack')", "os.path.exists('/sys/fs/cgroup/klear_attack')"),
    "kernel_settings": (
        "open('/proc/sys/kernel/domainname', 'w').write('klearattack')",
        "open('/proc/sys/kernel/domainname').read().strip() == 'klearattack'",
    ),
    "score_of_the_parent": (
        "open(f'/proc/{os.getppid()}/oom_score_adj', 'w').write('742')",
        "open(f'/proc/{os.getppid()}/oom_score_adj').read().strip() == '742'",
    ),
}
# These live in one process: the fresh globals of granularity "solution" are all that keeps them apart there.
_IN_PROCESS = {
    "module_attribute": ("sys.klear = os.klear = 42", "hasattr(sys, 'klear') or hasattr(os, 'klear')"),
    "loaded_module": ("sys.modules['klear_attack'] = sys", "'klear_attack' in sys.modules"),
    "builtin": ("import builtins\nbuiltins.klear = 42", "'klear' in dir(__builtins__)"),
    "interpreter_settings": ("sys.setrecursionlimit(4242)", "sys.getrecursionlimit() == 4242"),
    "random_state": ("import random\nrandom.klear = 1", "hasattr(__import__('random'), 'klear')"),
    "recent_exception": ("sys.last_value = ValueError(42)", "hasattr(sys, 'last_value')"),
    "exit_handler": (
        "import atexit\natexit.register(print, 43)",
        "__import__('atexit')._ncallbacks() > 0",
    ),
    "thread": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(0.3,), daemon=True).start()",
        "__import__('threading').active_count() > 1",
    ),
    "descriptor": ("r, w = os.pipe()\nos.write(w, b'x')\nos.dup2(r, 27)", "content(27) == b'x'"),
    "memory_file": ("os.dup2(os.memfd_create('klear'), 27)", "offset(27) == 0"),
    "heap": (
        "import gc\nkeep = {'klear_mark': None}\nsys.flags_ = keep\ngc.freeze()",
        "hasattr(sys, 'flags_')",
    ),
    "working_folder": ("os.chdir('/usr/lib')", "os.getcwd() == '/usr/lib'"),
}

_PROGRAM = (
    LIBC
    + """
import fcntl, resource, signal, socket, sys
def attempt(act):
    try:
        return act()
    except (OSError, ValueError):
        return None
def offset(fd):
    return attempt(lambda: os.lseek(fd, 0, 1))
def flags(fd):
    return attempt(lambda: fcntl.fcntl(fd, fcntl.F_GETFL)) or 0
def signal_of(fd):
    return attempt(lambda: fcntl.fcntl(fd, fcntl.F_GETSIG))
def locked(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    os.close(fd)
def content(fd):
    attempt(lambda: os.set_blocking(fd, False))
    return attempt(lambda: os.pread(fd, 99, 0)) or (fd == 27 and attempt(lambda: os.read(fd, 99))) or b""
"""
)


def _receive(found: str) -> str:
    return f"print(42 if attempt(lambda: {found}) else 'nothing')\n"


def _leave(code: str) -> str:
    return "try:\n    " + code.replace("\n", "\n    ") + "\nexcept (OSError, ValueError):\n    pass\n"


def _between_tests(name: str, leave: str, found: str) -> Attack:
    source = _PROGRAM + _receive(found) + _leave(leave)
    return script(
        f"state_test_to_test_{name}",
        "the second test knows what the first saw",
        source,
        tests=2,
        allowed=FAILS | SLOW,
        between_tests=True,
    )


def _between_solutions(name: str, leave: str, found: str) -> Attack:
    return relay(
        f"state_solution_to_solution_{name}",
        "one solution knows what another left",
        _PROGRAM + _leave(leave) + "print('left')",
        _PROGRAM + _receive(found),
    )


ATTACKS = tuple(_between_solutions(name, *pair) for name, pair in {**_CHANNELS, **_IN_PROCESS}.items()) + tuple(
    _between_tests(name, *pair) for name, pair in {**_CHANNELS, **_IN_PROCESS}.items()
)
