# SPDX-License-Identifier: Apache-2.0
"""`klear score`: a file of responses in, a file of scores out, in the same order, resumable.

`cli.py` reads the options, `score_file.py` is the engine, `workers.py` scores several rows at once, `output.py` writes.
"""
