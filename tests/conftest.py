# SPDX-License-Identifier: Apache-2.0
"""For every test: Ctrl-C works, even where the shell that started the tests ignores it (a background job, some CI).

A process inherits ignored signals, and a test that interrupts a run would then wait for ever.
"""

import signal

signal.signal(signal.SIGINT, signal.default_int_handler)
