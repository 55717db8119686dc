#!/bin/bash
# Builds everything and passes every test: what continuous integration runs. The CUDA backend is built where nvcc is
# found; its tests are skipped where there is no GPU. Arguments go to CMake: scripts/test.sh -DCOAT_CUDA=OFF
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh
scripts/test_python.sh
scripts/check_layers.py
cmake --preset release -DCOAT_CUDA=AUTO "$@"
cmake --build --preset release
ctest --preset release --parallel "$(nproc)"
