#!/bin/bash
# Builds everything and passes every test: what continuous integration runs.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh
scripts/check_layers.py
cmake --preset release
cmake --build --preset release
ctest --preset release --parallel "$(nproc)"
