# SPDX-License-Identifier: Apache-2.0
"""Makes the packages under benchmarks/ importable, as they are for the scripts there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
