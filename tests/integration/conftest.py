# SPDX-License-Identifier: Apache-2.0
"""Makes the packages under benchmarks/ importable: the kill matrix and these tests kill runs in the same way."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
