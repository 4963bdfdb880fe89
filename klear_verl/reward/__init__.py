# SPDX-License-Identifier: Apache-2.0
"""From a response to its reward: the text, the answer in it, its score, and what verl gets.

A response passes `manager.py` (verl's reward manager), `response.py` (tokens to text to answer) and `scorer.py`; then
`math/` grades its answer, or the judge the program that `extraction.py` finds in it; it comes back as a `Score`
(`score.py`). `references.py` says what a row's ground truth may be. `judge_pool/` spreads the judge over a Ray cluster.

What users import is here. Importing it imports neither verl nor Ray nor torch.
"""

from klear_verl.reward.config import RewardConfig, reward_config
from klear_verl.reward.references import ReferenceCheck
from klear_verl.reward.score import Score, ScoreRequest
from klear_verl.reward.scorer import Scorer

__all__ = ["ReferenceCheck", "RewardConfig", "Score", "ScoreRequest", "Scorer", "reward_config"]
