#!/bin/bash
# Installs what building, testing and the quickstart need, on Debian 12. Asks nothing; does nothing if all is there.
set -euo pipefail

packages=(
  build-essential cmake ninja-build git
  libyaml-cpp-dev libfmt-dev nlohmann-json3-dev libcli11-dev zlib1g-dev libopenblas-dev
  libgtest-dev libbenchmark-dev
  python3 gnuplot-nox jargon-text
)

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

fail() {
  echo "install_packages: $1; install these Debian packages by hand: ${missing[*]}" >&2
  exit 1
}

missing=("${packages[@]}")
command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || fail "this system has no apt-get"
missing=()
for package in "${packages[@]}"; do is_installed "$package" || missing+=("$package"); done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "not root, and there is no sudo"
  as_root=(sudo)
fi
echo "Installing ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
"${apt[@]}" update || fail "apt-get update failed"
"${apt[@]}" install --no-install-recommends "${missing[@]}" || fail "apt-get install failed"
