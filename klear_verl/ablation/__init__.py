# SPDX-License-Identifier: Apache-2.0
"""Comparisons: the same training with one thing changed, each variant (arm) with several seeds.

plan.py         what a SPEC.yaml may say, and the runs it asks for: every arm composed, checked, and named by its
                configuration
runner.py       runs `klear train` for each run that is not finished yet; OUT/ablation.json says how far each is
ray_job.py      a command as a job of a Ray cluster, for `--submit`
ablate_cli.py   `klear ablate`

It starts `klear train` as a command and reads what that leaves; it draws nothing: `klear report OUT` does.
"""
