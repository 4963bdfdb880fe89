# SPDX-License-Identifier: Apache-2.0
"""Replacing what the judge's code in the own process relies on: builtins, modules, functions, types."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import ANY, KEY, function, script

# Whatever code of the judge is in this process: its functions, found through the collector, return a constant.
_GUT = """
import gc, types
def gut(value):
    for held in gc.get_objects():
        if isinstance(held, types.FunctionType) and "judge" in held.__code__.co_filename:
            if not held.__code__.co_freevars:
                held.__code__ = eval(f"lambda *a, **k: {value!r}").__code__
"""
_PATCHES = {
    "comparisons": """
import builtins
for n in ('len', 'all', 'any', 'isinstance', 'bool', 'sorted'):
    setattr(builtins, n, lambda *a, **k: True)
""",
    "type": "import builtins\nbuiltins.type = lambda *a: int",
    "json": """
import json
json.dumps = lambda *a, **k: '42'
json.loads = lambda *a, **k: 42
json.encoder.encode_basestring_ascii = lambda s: '42'
""",
    "json_encoder": "import json\njson.JSONEncoder.encode = lambda *a: '42'\njson.encoder.c_make_encoder = None",
    "json_module": """
import sys, types
sys.modules['json'] = types.SimpleNamespace(dumps=lambda *a, **k: '42', loads=lambda *a: 42)
""",
    "os_write": "import os\nreal = os.write\nos.write = lambda fd, data: real(fd, b'42') and len(data)",
    "string_equality": """
import ctypes, gc
try:
    gc.get_referents(str.__dict__)[0]['__eq__'] = lambda s, o: True
except TypeError: pass
""",
    "decimal": "import decimal\ndecimal.Decimal.__eq__ = lambda s, o: True",
    "stdout_object": """
import sys
class O:
    closed = False
    flush = write = lambda s, *a: 42
    fileno = lambda s: 1
sys.stdout = sys.__stdout__ = O()
""",
    "import_system": """
import builtins, sys
builtins.__import__ = lambda *a, **k: sys
sys.meta_path.clear()
sys.path_hooks.clear()
""",
    "all_of_builtins": """
import builtins
for n in list(vars(builtins)):
    if n[0] != '_': setattr(builtins, n, lambda *a, **k: 42)
""",
    "hash_and_memory": "import gc\ngc.callbacks.append(lambda *a: 42)\ngc.enable()\ngc.set_threshold(1)",
    "exit_functions": "import os, sys\nos._exit = sys.exit = lambda *a: None",
    "runner_functions": _GUT + "gut(42)",
    "runner_functions_to_none": _GUT + "gut(None)",
    "runner_modules": "import sys\nfor n, m in list(sys.modules.items()):\n    if 'judge' in n or 'klear' in n:\n"
    "        for k in list(vars(m)): setattr(m, k, lambda *a, **kw: 42)",
    "small_ints": "import ctypes\nctypes.memmove(id(41) + 24, id(42) + 24, 4)",
    "constants_of_callers": """
import ctypes, sys
frame = sys._getframe().f_back
while frame:
    for c in frame.f_code.co_consts:
        if type(c) is int and c == 1: ctypes.memset(id(c) + 24, 0, 1)
    frame = frame.f_back
""",
    "frame_locals_of_callers": """
import ctypes, sys
frame = sys._getframe().f_back
while frame:
    for k in frame.f_locals: frame.f_locals[k] = 42
    ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
    frame = frame.f_back
""",
}

ATTACKS = tuple(
    script(
        f"patch_{name}_in_script", "the judge's own code takes nothing for an answer", code, expected=KEY, allowed=ANY
    )
    for name, code in _PATCHES.items()
) + tuple(
    function(
        f"patch_{name}_in_call",
        "the judge's own code takes a wrong value for the answer",
        code + "\ndef f(): return 41",
        expected=KEY,
        allowed=ANY,
    )
    for name, code in _PATCHES.items()
)
