# SPDX-License-Identifier: Apache-2.0
"""Reading what belongs to the trainer: its environment, keys, files and devices."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import LIBC, script

_ANY_FILE = """
import os
def any_file(*paths):
    for path in paths:
        try:
            os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            continue
        print(42)
        break
    else:
        print("refused")
"""

ATTACKS = (
    script(
        "private_environment",
        "a token in the own environment",
        "import os\nprint(42 if '@TOKEN@' in str(os.environ) else 'clean')",
    ),
    script(
        "private_environment_by_libc",
        "the same in the process's own memory",
        LIBC + "block = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, 'environ')\ni = 0\nfound = b''\n"
        "while block[i]: found += block[i]; i += 1\nprint(42 if b'@TOKEN@' in found else 'clean')",
    ),
    script(
        "private_environment_of_others",
        "a token in the environment of any process that can be seen",
        """
import os
found = False
for pid in ('self', os.getppid(), @PID@, @SUPERVISOR@, *range(1, 3000)):
    try:
        found = found or b'@TOKEN@' in open(f'/proc/{pid}/environ', 'rb').read()
    except OSError:
        pass
print(42 if found else 'clean')
""",
    ),
    script(
        "private_arguments_of_others",
        "the command line of a bystander",
        _ANY_FILE + "any_file('/proc/@PID@/cmdline', '/proc/@SUPERVISOR@/cmdline')",
    ),
    script("private_key_file", "a file that only the trainer's user may read", _ANY_FILE + "any_file('@FOLDER@/key')"),
    script(
        "private_key_file_by_openat2",
        "the same through openat2, with the descriptor of a folder that may be read",
        LIBC
        + """
import struct
folder = os.open(os.path.dirname(os.__file__), os.O_RDONLY | os.O_DIRECTORY)
path = b"../" * 12 + b"@FOLDER@/key"[1:]
print(42 if libc.syscall(437, folder, path, struct.pack("QQQ", 0, 0, 0), 24) >= 0 else "refused")
""",
        machine="x86_64",
    ),
    script(
        "private_key_file_by_path",
        "dots that lead out of a folder that may be read",
        _ANY_FILE + "import os\nany_file(os.path.dirname(os.__file__) + '/../' * 12 + '@FOLDER@/key')",
    ),
    script(
        "private_key_file_by_handle",
        "open_by_handle_at knows no paths",
        LIBC
        + """
handle, mount = ctypes.create_string_buffer(b"\\x80\\0\\0\\0", 136), ctypes.c_int()
libc.name_to_handle_at(-100, b"@FOLDER@/key", handle, ctypes.byref(mount), 0)
folder = os.open(os.path.dirname(os.__file__), os.O_RDONLY | os.O_DIRECTORY)
print(42 if libc.open_by_handle_at(folder, handle, 0) >= 0 else "refused")
""",
    ),
    script(
        "private_home",
        "keys and histories of the user",
        _ANY_FILE
        + """
import os
names = ('/.ssh/id_rsa', '/.bashrc', '/.netrc', '/.aws/credentials', '/.profile', '/.gitconfig')
any_file(*(os.path.expanduser('~') + name for name in names))
os.listdir(os.path.expanduser('~'))
""",
    ),
    script(
        "private_accounts",
        "the accounts of the machine",
        _ANY_FILE + "any_file('/etc/passwd', '/etc/shadow', '/etc/hostname')",
    ),
    script("private_root_folder", "what is there at all", "import os\nos.listdir('/')\nprint(42)"),
    script("private_folder_of_others", "lists a public folder", "import os\nos.listdir('@FOLDER@')\nprint(42)"),
    script("private_public_file", "a file that everybody may read", _ANY_FILE + "any_file('@FOLDER@/public')"),
    script(
        "private_shared_memory_files",
        "segments of other programs in /dev/shm",
        "import os\nos.listdir('/dev/shm')\nprint(42)",
    ),
    script("private_processes", "who runs here", "import os\nos.listdir('/proc')\nprint(42)"),
    script(
        "private_kernel_tables",
        "addresses, connections, mounts, modules",
        _ANY_FILE + "any_file('/proc/kallsyms', '/proc/net/tcp', '/proc/mounts', '/proc/modules', '/sys/kernel/notes')",
    ),
    script(
        "private_disk",
        "the disk below the file system",
        _ANY_FILE + "any_file('/dev/vda', '/dev/sda', '/dev/nvme0n1', '/dev/loop0', '/dev/dm-0')",
    ),
    script(
        "private_physical_memory",
        "the memory of everything",
        _ANY_FILE + "any_file('/dev/mem', '/proc/kcore', '/dev/kmem', '/dev/kmsg')",
    ),
    script(
        "private_terminals",
        "terminals and consoles",
        _ANY_FILE + "any_file('/dev/tty', '/dev/console', '/dev/tty1', '/dev/ptmx')",
    ),
    script(
        "private_devices",
        "accelerators, virtual machines, containers",
        _ANY_FILE + "any_file('/dev/nvidia0', '/dev/kvm', '/dev/fuse', '/var/run/docker.sock', '/dev/dri/card0')",
    ),
    script(
        "private_segment",
        "a System V segment that everybody may read",
        LIBC
        + """
libc.shmat.restype = ctypes.c_void_p
at = libc.shmat(@SEGMENT@, None, 0o10000)
print(42 if at and at + 1 < 1 << 64 and ctypes.string_at(at, 5) == b'klear' else 'refused')
""",
    ),
    script(
        "private_messages",
        "a message in a queue that everybody may read",
        LIBC + "print(42 if libc.msgrcv(@QUEUE@, ctypes.create_string_buffer(64), 32, 0, 0o4000) > 0 else 'refused')",
    ),
    script(
        "private_judge_folder",
        "lists the folder of the judge's own tests",
        "import os\nos.listdir('@TESTS@')\nprint(42)",
    ),
)
