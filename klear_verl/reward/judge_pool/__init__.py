# SPDX-License-Identifier: Apache-2.0
"""The judge spread over a Ray cluster: `RayJudge` in each client process, `JudgeActor`s on the nodes.

`client.py` is the way in; `roster.py` keeps the actors alive, `seat.py` is one of them as a client sees it, `actor.py`
is what runs on a node, `placement.py` decides how many go where, `problems.py` ships tests once. Importing this package
imports no Ray.
"""
