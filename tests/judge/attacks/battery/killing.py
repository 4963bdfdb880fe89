# SPDX-License-Identifier: Apache-2.0
"""Hurting other processes: the judge's own, and a bystander of the same user (@PID@)."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import ANY, LIBC, Attack, script

# In a namespace of its own the parent may have no number, and others may have ours.
_TARGETS = "targets = {os.getppid(), @PID@, @SUPERVISOR@} - {0, os.getpid()}\n"
_TRY = (
    LIBC
    + _TARGETS
    + """
import signal, resource
def own(pid):
    import fcntl
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
    fcntl.fcntl(reader, fcntl.F_SETSIG, 9)
    fcntl.fcntl(reader, fcntl.F_SETFL, fcntl.fcntl(reader, fcntl.F_GETFL) | fcntl.FASYNC)
    os.write(writer, b"x")
    return -1  # whether the signal was sent is seen outside
def any_of(act):
    done = []
    for pid in targets:
        try:
            result = act(pid)
        except (OSError, ValueError):
            continue
        done.append(result is None or result >= 0)
    print(42 if any(done) else "refused")
"""
)


def _each(name: str, tries: str, act: str, machine: str = "") -> Attack:
    return script(name, tries, _TRY + f"any_of(lambda pid: {act})", machine=machine)


ATTACKS = (
    script("kill_everything", "kill(-1)", "import os\nos.kill(-1, 9)\nprint(42)"),
    script(
        "kill_everything_by_system_call",
        "the same without Python's wrapper",
        LIBC + "print(42 if libc.syscall(62, ctypes.c_long(-1), 9) >= 0 else 'refused')",
        machine="x86_64",
    ),
    script("kill_own_group", "everything of its process group", "import os\nos.killpg(0, 9)\nprint(42)"),
    script("kill_init", "the first process of its namespace", "import os\nos.kill(1, 9)\nprint(42)"),
    _each("kill_parent", "SIGKILL", "os.kill(pid, 9)"),
    _each("stop_parent", "SIGSTOP, so that the judge hangs", "os.kill(pid, signal.SIGSTOP)"),
    _each("terminate_parent", "SIGTERM", "os.kill(pid, 15)"),
    _each("probe_parent", "signal 0: who is there?", "os.kill(pid, 0)"),
    _each("kill_thread_of_parent", "tkill", "libc.syscall(200, pid, 9)", "x86_64"),
    _each("kill_thread_group_of_parent", "tgkill", "libc.syscall(234, pid, pid, 9)", "x86_64"),
    _each("queue_signal_to_parent", "rt_sigqueueinfo", "libc.sigqueue(pid, 9, ctypes.c_void_p(0))"),
    _each(
        "kill_parent_by_descriptor",
        "pidfd_open and pidfd_send_signal",
        "signal.pidfd_send_signal(os.pidfd_open(pid), 9)",
    ),
    _each(
        "kill_by_owner_of_a_pipe",
        "F_SETOWN and F_SETSIG: the kernel sends SIGKILL when a pipe becomes readable",
        "own(pid)",
    ),
    _each("trace_parent", "ptrace attach", "libc.ptrace(16, pid, None, None)"),
    _each("seize_parent", "ptrace seize", "libc.ptrace(0x4206, pid, None, None)"),
    script(
        "trace_itself",
        "PTRACE_TRACEME: the parent is made its tracer, and gets its stops",
        LIBC + "print(42 if libc.ptrace(0, 0, None, None) == 0 else 'refused')",
    ),
    _each(
        "write_memory_of_parent",
        "process_vm_writev",
        "libc.process_vm_writev(pid, (ctypes.c_void_p * 2)(id(pid), 8), 1, (ctypes.c_void_p * 2)(id(None), 8), 1, 0)",
    ),
    _each(
        "write_memory_file_of_parent",
        "/proc/*/mem",
        "os.pwrite(os.open(f'/proc/{pid}/mem', os.O_RDWR), b'x' * 8, id(None))",
    ),
    _each(
        "page_out_memory_of_parent",
        "process_madvise",
        "libc.syscall(440, os.pidfd_open(pid), None, 0, 21, 0)",
        "x86_64",
    ),
    _each(
        "compare_with_parent",
        "kcmp: which files do we share?",
        "libc.syscall(312, os.getpid(), pid, 1, 0, 0)",
        "x86_64",
    ),
    _each("lower_limits_of_parent", "prlimit: no CPU time", "resource.prlimit(pid, resource.RLIMIT_CPU, (1, 1)) and 0"),
    _each("read_limits_of_parent", "prlimit without new limits", "resource.prlimit(pid, resource.RLIMIT_CPU)[0] * 0"),
    _each("priority_of_parent", "setpriority", "os.setpriority(os.PRIO_PROCESS, pid, 19)"),
    _each("affinity_of_parent", "sched_setaffinity: all on one core", "os.sched_setaffinity(pid, {0})"),
    _each(
        "scheduling_of_parent",
        "SCHED_IDLE for the judge",
        "os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))",
    ),
    _each("io_priority_of_parent", "ioprio_set", "libc.syscall(251, 1, pid, 0x6000)", "x86_64"),
    _each("group_of_parent", "setpgid", "os.setpgid(pid, 0)"),
    _each(
        "memory_score_of_parent",
        "has the out-of-memory killer take the judge first",
        "os.write(os.open(f'/proc/{pid}/oom_score_adj', os.O_WRONLY), b'1000')",
    ),
    _each("name_of_parent", "/proc/*/comm", "os.write(os.open(f'/proc/{pid}/comm', os.O_WRONLY), b'klearattack')"),
    _each("schedule_with_parent", "core scheduling cookies", "libc.prctl(62, 2, pid, 0, 0)"),
    _each(
        "attach_events_to_parent",
        "perf_event_open",
        "libc.syscall(298, (ctypes.c_char * 128)(1, 0, 0, 0, 112), pid, -1, -1, 0)",
        "x86_64",
    ),
    _each(
        "move_memory_of_parent",
        "migrate_pages",
        "libc.syscall(256, pid, 64, (ctypes.c_ulong * 1)(1), (ctypes.c_ulong * 1)(1))",
        "x86_64",
    ),
    _each(
        "robust_list_of_parent",
        "get_robust_list: addresses",
        "libc.syscall(274, pid, (ctypes.c_long * 1)(), (ctypes.c_long * 1)())",
        "x86_64",
    ),
    script("kill_itself", "SIGKILL of its own", "import signal\nsignal.raise_signal(9)\nos = 1 / 0"),
    script("crash_itself", "reads address 0", "import ctypes\nctypes.string_at(0)"),
    script("abort_itself", "SIGABRT", "import os\nos.abort()"),
    script(
        "stop_itself",
        "SIGSTOP, so that its end never comes",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        allowed=ANY,
    ),
    script(
        "hang_up_terminal", "vhangup and the foreground group", LIBC + "print(42 if libc.vhangup() == 0 else 'refused')"
    ),
)
