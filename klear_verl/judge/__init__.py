# SPDX-License-Identifier: Apache-2.0
"""Judging untrusted programs: problems as data, isolation, verdicts. Knows nothing of rewards, models or training."""
