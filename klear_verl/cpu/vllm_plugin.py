# SPDX-License-Identifier: Apache-2.0
"""vLLM's plugin (entry point group `vllm.general_plugins`), loaded in every vLLM process. It must not import verl, and
does nothing off the CPU."""


def register() -> None:
    """Keeps linear weights reloadable on the CPU build of vLLM; on any other build it does nothing."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        from klear_verl.patches import keep_cpu_linear_weights

        keep_cpu_linear_weights()
