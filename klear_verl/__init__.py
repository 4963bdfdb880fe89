# SPDX-License-Identifier: Apache-2.0
"""Klear-Reasoner's post-training method on a stock verl.

Importing this package imports nothing heavy: neither torch nor ray nor verl nor vllm. Each room is imported when it is
used.
"""

__version__ = "0.1.0"
