# SPDX-License-Identifier: Apache-2.0
"""From a recipe to a running job and back. In the order in which a run passes through:

`recipes` finds a recipe and `compose` makes verl's configuration of it; `preflight` checks it and `estimate` says what
it takes; `run_dir` keeps it; `launcher` is the two commands, which start `rl_driver` or `sft_worker` under `supervise`
and `reaper`; `processes` and `progress` are what those two watch, end and show.
"""
