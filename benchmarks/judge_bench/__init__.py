# SPDX-License-Identifier: Apache-2.0
"""The parts of `benchmarks/judge.py`, `judge_soak.py` and `judge_load.py`: programs to judge, contestants that judge
them, and the clockwork that times one against the other.
"""
