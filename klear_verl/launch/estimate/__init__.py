# SPDX-License-Identifier: Apache-2.0
"""What a run will need and do, before it starts: memory per GPU in each phase, and tokens per step. Formulas, not
measurements: each module states what it counts and what it leaves out. verl is not imported."""

from klear_verl.launch.estimate.describe import estimate_lines

__all__ = ["estimate_lines"]
