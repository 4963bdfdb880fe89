# SPDX-License-Identifier: Apache-2.0
"""Links, names and paths that lead where they should not."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import script

ATTACKS = (
    script(
        "file_symbolic_link",
        "a link to a private file",
        "import os\nos.symlink('@FOLDER@/key', 'klear_attack')\nprint(open('klear_attack').read() and 42)",
    ),
    script(
        "file_hard_link",
        "a hard link to a private file",
        "import os\nos.link('@FOLDER@/key', 'klear_attack')\nprint(42)",
    ),
    script(
        "file_rename",
        "moves a file of others away",
        "import os\nos.rename('@FOLDER@/public', '@FOLDER@/klear_attack')\nprint(42)",
    ),
    script(
        "file_exchange",
        "exchanges two files of others",
        """
import ctypes
print(42 if ctypes.CDLL(None).renameat2(-100, b'@FOLDER@/public', -100, b'@FOLDER@/key', 2) == 0 else 'refused')
""",
    ),
    script("file_remove", "removes a file of others", "import os\nos.unlink('@FOLDER@/public')\nprint(42)"),
    script("file_overwrite", "writes a file of others", "open('@FOLDER@/public', 'r+').write('x')\nprint(42)"),
    script("file_truncate_on_open", "cuts a file of others by opening it", "open('@FOLDER@/public', 'w')\nprint(42)"),
    script("file_truncate", "cuts a file of others by name", "import os\nos.truncate('@FOLDER@/public', 0)\nprint(42)"),
    script("file_mode", "opens a private file to everybody", "import os\nos.chmod('@FOLDER@/key', 0o777)\nprint(42)"),
    script(
        "file_owner", "gives a file of others away", "import os\nos.chown('@FOLDER@/public', 12345, 12345)\nprint(42)"
    ),
    script(
        "file_times",
        "changes the times of a file of others",
        "import os\nos.utime('@FOLDER@/public', (1, 1))\nprint(42)",
    ),
    script(
        "file_attribute",
        "an attribute on a file of others",
        "import os\nos.setxattr('@FOLDER@/public', 'user.klear', b'x')\nprint(42)",
    ),
    script(
        "file_socket",
        "a socket file",
        "import socket\nsocket.socket(socket.AF_UNIX).bind('@FOLDER@/klear_attack')\nprint(42)",
    ),
    script("file_folder", "a folder in a public folder", "import os\nos.mkdir('@FOLDER@/klear_attack')\nprint(42)"),
    script(
        "file_watch",
        "opens a private file by path only, then through its descriptor",
        "import os\nfd = os.open('@FOLDER@/key', os.O_PATH)\nos.open(f'/proc/self/fd/{fd}', os.O_RDONLY)\nprint(42)",
    ),
    script(
        "file_map",
        "maps a private file",
        "import mmap, os\nmmap.mmap(os.open('@FOLDER@/key', os.O_RDONLY), 1, prot=mmap.PROT_READ)\nprint(42)",
    ),
    script(
        "file_import",
        "imports a module of others",
        "import sys\nsys.path.insert(0, '@FOLDER@')\nimport public_module\nprint(public_module.answer)",
    ),
    script(
        "file_sqlite",
        "a database, written by a library of its own",
        """
import sqlite3
db = sqlite3.connect('@FOLDER@/klear_attack')
db.execute('create table t(x)')
db.commit()
print(42)
""",
    ),
    script(
        "file_temporary",
        "a temporary file",
        "import tempfile\ntempfile.NamedTemporaryFile(delete=False, prefix='klear_attack').write(b'x')\nprint(42)",
    ),
)
