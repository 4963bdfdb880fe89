# SPDX-License-Identifier: Apache-2.0
"""One rank of an SFT run, started by torchrun through `klear sft`: verl's own SFT trainer on the composed
configuration."""

from __future__ import annotations

import os
import sys

from omegaconf import OmegaConf

from klear_verl.launch.run_dir import RunDir
from klear_verl.utils.progress import announce


def main() -> None:
    first = os.environ.get("RANK", "0") == "0"
    if first:
        announce("importing verl and loading the model")
    config = OmegaConf.load(RunDir(sys.argv[1]).config_file)
    from verl.utils.distributed import destroy_global_process_group, initialize_global_process_group

    from klear_verl.trainer.sft_checkpoints import KlearSFTTrainer

    initialize_global_process_group()
    KlearSFTTrainer(config=config).fit()
    destroy_global_process_group()


if __name__ == "__main__":
    main()
