# SPDX-License-Identifier: Apache-2.0
"""The judge spread over a Ray cluster: a `RayJudge` in each client process, `JudgeActor`s on the nodes.

In the order in which a solution passes them: `client.py` (`RayJudge`) is the way in and keeps what waits; `worker.py`
is one actor as a client sees it, and sends solutions there; `messages.py` is what travels; `actor.py` is what runs on a
node. `pool.py` keeps the actors alive; `config.py` says how many go where. Importing this package imports no Ray.
"""
