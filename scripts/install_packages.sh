#!/bin/bash
# Installs what building, testing and the quickstart need, on Debian 12; where there is nvcc, also fetches the headers of
# cudnn-frontend into .cache. Asks nothing; does nothing if all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/debian.sh

frontend=nvidia-cudnn-frontend==1.32.0
frontend_dir=.cache/cudnn_frontend

packages=(
  build-essential cmake ninja-build git
  libyaml-cpp-dev libfmt-dev nlohmann-json3-dev libcli11-dev zlib1g-dev libzstd-dev libopenblas-dev
  libprotobuf-dev protobuf-compiler
  libopenmpi-dev openmpi-bin
  libgtest-dev libbenchmark-dev
  python3 python3-venv gnuplot-nox jargon-text
)

# Whether the CUDA backend will be built and lacks the headers of cudnn-frontend.
needs_frontend() {
  command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ] || return 1
  local folder
  for folder in "${COAT_CUDNN_FRONTEND_INCLUDE:-}" $frontend_dir/include /usr/include /usr/local/include \
      /usr/local/cuda/include; do
    [ ! -e "$folder/cudnn_frontend.h" ] || return 1
  done
}

# From the Python package, whose wheel is an archive with the headers in include/.
fetch_frontend() {
  local temporary=$frontend_dir.partial
  echo "Fetching the headers of $frontend"
  rm -rf $temporary
  mkdir -p $temporary
  if python3 -m pip download -q --disable-pip-version-check --no-deps --dest $temporary "$frontend" &&
      python3 -m zipfile -e $temporary/*.whl $temporary && [ -e $temporary/include/cudnn_frontend.h ]; then
    rm -rf $frontend_dir
    mkdir $frontend_dir
    mv $temporary/include $frontend_dir/include
  else
    echo "install_packages: the CUDA backend needs the headers of $frontend, and pip does not fetch them; configure with" \
      "-DCOAT_CUDA=OFF, or set COAT_CUDNN_FRONTEND_INCLUDE to the folder of cudnn_frontend.h" >&2
  fi
  rm -rf $temporary
}

if needs_frontend && ! python3 -m pip --version >/dev/null 2>&1; then packages+=(python3-pip); fi
install_debian_packages "${packages[@]}"

# A failure is no failure of this script: whether the CUDA backend is wanted is decided when CMake configures.
if needs_frontend; then fetch_frontend; fi
