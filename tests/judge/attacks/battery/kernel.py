# SPDX-License-Identifier: Apache-2.0
"""System calls that no solution needs: other ways to make processes, files, memory and privileges."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import LIBC, Attack, script, syscall

_FORKED = "pid = libc.{call}\nif pid == 0: libc._exit(0)\nprint(42 if pid > 0 else 'refused')"


def _fork(name: str, tries: str, call: str) -> Attack:
    return script(name, tries, LIBC + _FORKED.format(call=call), machine="x86_64")


ATTACKS = (
    _fork("kernel_fork", "fork by number", "syscall(57)"),
    _fork("kernel_clone", "clone as fork does it", "syscall(56, 17, 0, 0, 0, 0)"),
    _fork(
        "kernel_clone_files", "clone that shares files but not memory", "syscall(56, 0x400 | 0x200 | 17, 0, 0, 0, 0)"
    ),
    _fork(
        "kernel_clone_user_namespace", "clone with namespaces", "syscall(56, 0x10000000 | 0x20000000 | 17, 0, 0, 0, 0)"
    ),
    _fork(
        "kernel_clone_odd_upper_flags",
        "flags above 32 bits, which a filter may compare and the kernel ignores",
        "syscall(56, ctypes.c_ulong(1 << 40 | 17), 0, 0, 0, 0)",
    ),
    _fork(
        "kernel_clone_three",
        "clone3, whose flags are in memory",
        "syscall(435, (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17), 88)",
    ),
    syscall("kernel_io_uring", "a ring that does system calls unseen", 425, "8, ctypes.create_string_buffer(256)"),
    syscall("kernel_sync", "has all disks written, again and again", 162, "0"),
    syscall("kernel_sync_file_system", "the same for one of them", 306, "os.open(os.__file__, os.O_RDONLY)"),
    syscall(
        "kernel_asynchronous_io", "contexts that the whole machine shares", 206, "1, ctypes.byref(ctypes.c_ulong(0))"
    ),
    syscall("kernel_user_fault", "userfaultfd", 323, "0"),
    syscall("kernel_user_fault_in_user_mode", "userfaultfd, the unprivileged way", 323, "1"),
    syscall("kernel_bpf", "a BPF map", 321, "0, (ctypes.c_uint32 * 32)(2, 4, 4, 1), 128"),
    syscall("kernel_perf", "performance counters of its own", 298, "(ctypes.c_uint32 * 32)(1, 112), 0, -1, -1, 0"),
    syscall("kernel_keyctl", "its session keyring", 250, "0, -3, 1"),
    syscall("kernel_add_key", "a key in the user's keyring", 248, "b'user', b'klear_attack', b'x', 1, -4"),
    syscall("kernel_memory_file", "memfd_create", 319, "b'x', 0"),
    syscall("kernel_secret_memory", "memfd_secret", 447, "0"),
    syscall("kernel_unshare_user", "a user namespace", 272, "0x10000000"),
    syscall("kernel_unshare_mount", "a mount namespace", 272, "0x20000"),
    syscall("kernel_unshare_files", "unshare without namespaces", 272, "0x400"),
    syscall(
        "kernel_set_namespace",
        "joins the namespaces of its parent",
        308,
        "libc.syscall(434, os.getppid(), 0), 0x20000000",
    ),
    syscall("kernel_chroot", "another root", 161, "b'/usr'"),
    syscall("kernel_mount", "a file system over /mnt", 165, "b'none', b'/mnt', b'tmpfs', 0, 0"),
    syscall("kernel_unmount", "without /dev/shm", 166, "b'/dev/shm', 2"),
    syscall("kernel_pivot", "pivot_root", 155, "b'/', b'/'"),
    syscall("kernel_open_file_system", "fsopen", 430, "b'tmpfs', 0"),
    syscall("kernel_open_tree", "a copy of the mount tree", 428, "-100, b'/', 1"),
    syscall("kernel_pick_file_system", "fspick", 433, "-100, b'/', 0"),
    syscall("kernel_device_file", "a device node", 133, "b'klear_attack', 0o60666, 0xfe00"),
    syscall("kernel_notify_files", "watches files of others", 254, "libc.inotify_init(), b'/usr/lib', 0xfff"),
    syscall("kernel_notify_all_files", "fanotify", 300, "0, 0"),
    syscall("kernel_log", "the kernel's messages", 103, "3, ctypes.create_string_buffer(4096), 4096"),
    syscall("kernel_module", "a kernel module", 175, "b'x' * 64, 64, b''"),
    syscall("kernel_kexec", "another kernel", 246, "0, 0, None, 0"),
    syscall("kernel_ports", "I/O ports", 173, "0x80, 1, 1"),
    syscall("kernel_all_ports", "all I/O ports", 172, "3"),
    syscall("kernel_swap_off", "no swap for anybody", 168, "b'/swapfile'"),
    syscall("kernel_accounting", "process accounting into a file", 163, "None"),
    syscall("kernel_host_name", "another host name", 170, "b'klearattack', 11"),
    syscall("kernel_clock", "another time", 227, "0, (ctypes.c_long * 2)(42, 0)"),
    syscall("kernel_adjust_clock", "a slower clock", 159, "(ctypes.c_long * 26)(1)"),
    syscall("kernel_become_root", "setresuid(0)", 117, "12345, 12345, 12345"),
    syscall("kernel_groups", "other groups", 116, "1, (ctypes.c_int * 1)(42)"),
    syscall(
        "kernel_capabilities",
        "raises what it has",
        126,
        "(ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(0xff, 0xff, 0xff)",
    ),
    script(
        "kernel_ambient_capability",
        "PR_CAP_AMBIENT_RAISE",
        LIBC + "print(42 if libc.prctl(47, 2, 21, 0, 0) == 0 else 'refused')",
    ),
    script(
        "kernel_keep_capabilities",
        "the securebits",
        LIBC + "print(42 if libc.prctl(28, 0x20, 0, 0, 0) == 0 else 'refused')",
    ),
    script(
        "kernel_new_privileges",
        "takes no_new_privs back",
        LIBC + "libc.prctl(38, 0, 0, 0, 0)\nprint(42 if libc.prctl(39, 0, 0, 0, 0) == 0 else 'refused')",
    ),
    script(
        "kernel_filter_off",
        "switches its system-call filter off",
        LIBC + "libc.prctl(22, 0, 0)\nprint(42 if libc.prctl(21, 0, 0, 0, 0) == 0 else 'refused')",
    ),
    script(
        "kernel_memory_map_tricks",
        "PR_SET_MM: other addresses of stack and arguments",
        LIBC + "print(42 if libc.prctl(35, 8, ctypes.c_ulong(id(libc)), 0, 0) == 0 else 'refused')",
    ),
    syscall("kernel_personality", "no randomised addresses for what it starts", 135, "0x0040000"),
    syscall("kernel_terminal", "a new session, to take a terminal", 112, "0"),
    syscall("kernel_quota", "quotactl", 179, "0x800002, None, 0, None"),
    syscall(
        "kernel_dnotify", "F_NOTIFY on a folder of others", 72, "os.open('/usr/lib', os.O_RDONLY), 1026, 0x80000002"
    ),
    syscall(
        "kernel_lease", "F_SETLEASE holds up whoever writes the file", 72, "os.open(os.__file__, os.O_RDONLY), 1024, 0"
    ),
)
