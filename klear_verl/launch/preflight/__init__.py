# SPDX-License-Identifier: Apache-2.0
"""Everything about a run that can be found wrong before its long start-up: configuration, model, data, machine, Ray.

Nothing is started, downloaded or changed. What verl's own validation says at once is left to verl. `run` has the order
of the checks, `view` the configuration as they look at it; each of the others treats one subject.
"""
