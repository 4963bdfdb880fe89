# SPDX-License-Identifier: Apache-2.0
"""For every test: Ctrl-C works, even where the shell that started the tests ignores it (a background job, some CI).

A process inherits ignored signals, and a test that interrupts a run would then wait for ever.
"""

import signal

from hypothesis import settings

signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure: what must not take long says so in a test of its own.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
