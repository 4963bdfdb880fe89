# SPDX-License-Identifier: Apache-2.0
"""Evaluation: benchmarks, generation on vLLM, grading, avg@n and pass@k with intervals. It trains nothing."""
