# SPDX-License-Identifier: Apache-2.0
"""Everything about a run that can be found wrong before its long start-up: configuration, model, data, machine, Ray.

Nothing is started, downloaded or changed. What verl's own validation says at once is left to verl.
"""

from klear_verl.launch.preflight.run import check_rl_config, check_sft_config, rl_problems, sft_problems

__all__ = ["check_rl_config", "check_sft_config", "rl_problems", "sft_problems"]
