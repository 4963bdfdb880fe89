# SPDX-License-Identifier: Apache-2.0
"""What programs expect of the interpreter: recursion, threads, signals, modules, introspection."""

from __future__ import annotations

from tests.judge.idioms.honest.idiom import function, script, total

_SUM = "sum(map(int, open(0).read().split()))"
_DEPTH = "def depth(n):\n    return 0 if n == 0 else 1 + depth(n - 1)\n"

IDIOMS = (
    total(
        "recursion_limit",
        f"import sys\nsys.setrecursionlimit(10**6)\n{_DEPTH}assert depth(20000) == 20000\nprint({_SUM})",
    ),
    total("recursion_error_caught", f"{_DEPTH}try:\n    depth(10**6)\nexcept RecursionError:\n    print({_SUM})"),
    total(
        "recursion_in_thread",
        f"import sys, threading\nsys.setrecursionlimit(1 << 20)\nthreading.stack_size(1 << 28)\n{_DEPTH}"
        "def main():\n    assert depth(100000) == 100000\n    print(sum(map(int, sys.stdin.read().split())))\n"
        "thread = threading.Thread(target=main)\nthread.start()\nthread.join()",
    ),
    total(
        "recursion_through_a_cache",
        f"import sys, functools\nsys.setrecursionlimit(10**6)\n@functools.lru_cache(None)\n{_DEPTH}"
        "n = 20000 if sys.version_info < (3, 12) else 2000  # later Pythons bound it themselves\n"
        f"assert depth(n) == n\nprint({_SUM})",
    ),
    total(
        "recursion_by_bootstrap",
        """
from types import GeneratorType
def bootstrap(f, stack=[]):
    def wrapped(*args):
        if stack: return f(*args)
        to = f(*args)
        while True:
            if type(to) is GeneratorType:
                stack.append(to)
                to = next(to)
            else:
                stack.pop()
                if not stack: break
                to = stack[-1].send(to)
        return to
    return wrapped
@bootstrap
def depth(n):
    yield 0 if n == 0 else 1 + (yield depth(n - 1))
assert depth(50000) == 50000
"""
        + f"print({_SUM})",
    ),
    total("thread_not_joined", f"import threading\nthreading.Thread(target=lambda: print({_SUM})).start()"),
    total(
        "thread_daemon",
        f"import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint({_SUM})",
    ),
    total(
        "thread_locks",
        f"""
import threading
lock, event, box = threading.Lock(), threading.Event(), []
def go():
    with lock:
        box.append({_SUM})
    event.set()
threading.Thread(target=go).start()
event.wait()
print(box[0])
""",
    ),
    total(
        "thread_pool",
        """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(int, open(0).read().split())))
""",
    ),
    total(
        "thread_queue",
        f"""
import queue, threading
q = queue.Queue()
threading.Thread(target=lambda: q.put({_SUM})).start()
print(q.get(timeout=2))
""",
    ),
    total("thread_local", f"import threading\nlocal = threading.local()\nlocal.x = {_SUM}\nprint(local.x)"),
    total("thread_timer", f"import threading\nthreading.Timer(0.01, lambda: print({_SUM})).start()"),
    total(
        "asyncio_run",
        f"""
import asyncio
async def main():
    await asyncio.sleep(0.001)
    return {_SUM}
print(asyncio.run(main()))
""",
    ),
    total(
        "asyncio_gather",
        """
import asyncio
async def one(x): return int(x)
async def main():
    return sum(await asyncio.gather(*map(one, open(0).read().split())))
print(asyncio.run(main()))
""",
    ),
    total(
        "asyncio_executor",
        f"""
import asyncio
async def main():
    return await asyncio.to_thread(lambda: {_SUM})
print(asyncio.run(main()))
""",
    ),
    total(
        "coroutine_by_hand",
        f"""
async def main(): return {_SUM}
try:
    main().send(None)
except StopIteration as done:
    print(done.value)
""",
    ),
    total(
        "cpu_count",
        f"""
import multiprocessing, os
assert multiprocessing.cpu_count() >= 1 and os.cpu_count() >= 1 and len(os.sched_getaffinity(0)) >= 1
print({_SUM})
""",
    ),
    total(
        "signal_handlers",
        f"""
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
print({_SUM})
""",
    ),
    total(
        "signal_alarm",
        f"""
import signal
def late(*a): raise TimeoutError
signal.signal(signal.SIGALRM, late)
signal.alarm(3)
print({_SUM})
signal.alarm(0)
""",
    ),
    total(
        "signal_timer_as_time_out",
        f"""
import signal, time
class Late(Exception): pass
def late(*a): raise Late
signal.signal(signal.SIGALRM, late)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    while True: time.sleep(0.001)
except Late:
    print({_SUM})
""",
    ),
    total(
        "resource_limits",
        f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_STACK, resource.getrlimit(resource.RLIMIT_STACK))
print({_SUM})
""",
    ),
    total(
        "raised_stack_limit",
        f"""
import resource, sys
try:
    resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
except ValueError:
    pass
print({_SUM})
""",
    ),
    total("short_sleep", f"import time\ntime.sleep(0.02)\nprint({_SUM})"),
    total(
        "clocks",
        f"""
import time, datetime
assert time.time() > 1e9 and datetime.datetime.now().year > 2000
assert time.perf_counter() <= time.perf_counter()
print({_SUM})
""",
    ),
    total(
        "time_limited_search",
        f"import time\nend = time.time() + 0.05\nn = 0\nwhile time.time() < end: n += 1\nassert n\nprint({_SUM})",
    ),
    total("collector_off", f"import gc\ngc.disable()\ngc.freeze()\nprint({_SUM})"),
    total("collector_on", f"import gc\nassert gc.isenabled()\nprint({_SUM})"),
    total(
        "cycles_are_collected",
        f"""
class Node:
    def __init__(self):
        self.me, self.load = self, bytes(1 << 20)
for _ in range(3000): Node()
print({_SUM})
""",
    ),
    total(
        "weak_references",
        f"import weakref\nclass A: pass\na = A()\nr = weakref.ref(a)\ndel a\nassert r() is None\nprint({_SUM})",
    ),
    total(
        "file_and_arguments",
        f"import os, sys\nassert len(sys.argv) == 1 and isinstance(__file__, str) and sys.argv[0]\nprint({_SUM})",
    ),
    total(
        "executable_and_version",
        f"import sys, platform\nassert sys.version_info >= (3, 11) and platform.python_version()\nprint({_SUM})",
    ),
    total(
        "path_of_its_folder",
        f"import os, sys\nsys.path.append(os.path.dirname(os.path.abspath(__file__)))\nprint({_SUM})",
    ),
    total(
        "local_judge_switch",
        f"import os, sys\nif os.path.exists('input.txt'):\n    sys.stdin = open('input.txt')\nprint({_SUM})",
    ),
    total(
        "local_judge_switch_by_environment",
        f"""
import os, sys
if os.environ.get('LOCAL') or 'LOCAL_DEBUG' in os.environ:
    sys.stdin = open('in.txt')
print({_SUM})
""",
    ),
    total("open_missing_file", f"try:\n    open('input.txt')\nexcept (FileNotFoundError, OSError):\n    print({_SUM})"),
    total(
        "main_module_looks_at_itself",
        f"import __main__, sys\nx = 3\nassert __main__.x == 3 and sys.modules['__main__'].x == 3\nprint({_SUM})",
    ),
    total("globals_and_locals", f"globals()['y'] = {_SUM}\nprint(y if 'y' in locals() else vars()['y'])"),
    total("exec_and_eval", f"exec('z = 1')\nprint(eval('{_SUM}') + z - 1)"),
    total("compile_and_exec", f"exec(compile('print({_SUM})', 'x', 'exec'))"),
    total("code_in_string_with_globals", f"space = {{}}\nexec('def g(x): return x', space)\nprint(space['g']({_SUM}))"),
    total(
        "inspect_of_function",
        f"""
import inspect
def g(a, b=2): pass
assert list(inspect.signature(g).parameters) == ['a', 'b']
print({_SUM})
""",
    ),
    total("frames", f"import sys\ndef g(): return sys._getframe().f_code.co_name\nassert g() == 'g'\nprint({_SUM})"),
    total(
        "traceback_text",
        f"""
import traceback
try:
    1 / 0
except Exception:  # the idiom itself: honest solutions do so
    assert 'ZeroDivisionError' in traceback.format_exc()
print({_SUM})
""",
    ),
    total(
        "lazy_imports",
        f"import xml.dom.minidom, sqlite3, csv, hashlib, uuid, unittest, urllib.parse, email, argparse\nprint({_SUM})",
    ),
    total(
        "database_in_memory",
        f"import sqlite3\ndb = sqlite3.connect(':memory:')\nprint(db.execute('select ?', ({_SUM},)).fetchone()[0])",
    ),
    total(
        "hashes",
        f"""
import hashlib, zlib
assert hashlib.sha256(b'').hexdigest().startswith('e3b0') and hashlib.md5(b'')
assert zlib.crc32(b'a')
print({_SUM})
""",
    ),
    total(
        "random_seeded",
        f"""
import random
random.seed(1)
a = random.random()
random.seed(1)
assert a == random.random()
print({_SUM})
""",
    ),
    total(
        "random_from_system",
        f"""
import random, secrets, os, uuid
assert random.SystemRandom().random() < 1 and secrets.token_hex(4) and len(os.urandom(4)) == 4 and uuid.uuid4()
print({_SUM})
""",
    ),
    total(
        "temporary_in_memory",
        f"""
import tempfile
with tempfile.SpooledTemporaryFile(max_size=10**6, mode='w+') as f:
    f.write('x')
print({_SUM})
""",
    ),
    total(
        "locale",
        f"""
import locale
locale.setlocale(locale.LC_ALL, '')
assert locale.getpreferredencoding(False).lower().replace('-', '') == 'utf8'
print({_SUM})
""",
    ),
    total("native_library", f"import ctypes\nassert ctypes.CDLL(None).abs(-3) == 3\nprint({_SUM})"),
    total("own_pid", f"import os\nassert os.getpid() > 0\nprint({_SUM})"),
    total("byte_order_mark", f"\ufeffprint({_SUM})"),
    total("encoding_line", f"# -*- coding: utf-8 -*-\n# é\nprint({_SUM})"),
    total("interpreter_line", f"#!/usr/bin/env python3\nprint({_SUM})"),
    total("crlf_source", f"a = {_SUM}\r\nif a:\r\n    pass\r\nprint(a)\r\n"),
    total("tabs_in_source", f"if True:\n\tprint({_SUM})"),
    total("no_final_newline_in_source", f"if True:\n    print({_SUM})"),
    total("future_import", f'"""Doc."""\nfrom __future__ import annotations\nprint({_SUM})'),
    total(
        "star_imports",
        f"from math import *\nfrom collections import *\nfrom itertools import *\nfrom heapq import *\nprint({_SUM})",
    ),
    total("top_level_asserts", "a, b = map(int, open(0).read().split())\nassert a + b == b + a\nprint(a + b)"),
    script(
        "hash_order_repeats",
        "print(list({'a', 'b', 'c', 'd'}) == list({'a', 'b', 'c', 'd'}), hash('x') == hash('x'))",
        ("", "True True"),
    ),
    script(
        "fresh_globals_for_each_test",
        "try:\n    seen += 1\nexcept NameError:\n    seen = 1\nprint(seen)",
        ("1", "1"),
        ("2", "1"),
        ("3", "1"),
    ),
    script(
        "fresh_counters_for_each_test",
        """
import itertools
counter = itertools.count()
cache = {}
def g(n, memo={}):
    memo[n] = len(memo)
    return memo[n]
print(next(counter), g(5), len(cache))
""",
        ("1", "0 0 0"),
        ("2", "0 0 0"),
    ),
    function(
        "fresh_module_for_each_call",
        "calls = []\ndef f(x, seen=[]):\n    calls.append(x)\n    seen.append(x)\n    return [len(calls), len(seen)]",
        ([1], [1, 1]),
        ([2], [1, 1]),
    ),
)
