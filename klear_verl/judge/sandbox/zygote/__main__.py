# SPDX-License-Identifier: Apache-2.0
"""Entry of the zygote, run by path in a fresh interpreter without site-packages.

It makes `klear_verl.judge.sandbox.zygote` importable without executing the `__init__` of the packages above it, so that
nothing heavier than the standard library can ever get into the process that is forked for every test.
"""

import os
import sys
import types

_sandbox = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_judge = os.path.dirname(_sandbox)
for _name, _path in (
    ("klear_verl", os.path.dirname(_judge)),
    ("klear_verl.judge", _judge),
    ("klear_verl.judge.sandbox", _sandbox),
):
    _package = types.ModuleType(_name)
    _package.__path__ = [_path]
    sys.modules[_name] = _package

from klear_verl.judge.sandbox.zygote.server import main  # noqa: E402

main(int(sys.argv[1]))
