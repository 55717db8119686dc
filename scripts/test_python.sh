#!/bin/bash
# Installs what tests compare with into .cache/test_python: PyTorch, NumPy (Debian packages), and tests/requirements.txt
# (transformers, TensorBoard, ...); and Chromium, in which they draw the page of `coat report`. Without a network the tests
# that need it are skipped with a message; COAT_TEST_PYTHON names an interpreter that has these packages already, and
# nothing is installed then.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/debian.sh

folder=.cache/test_python
[ -z "${COAT_TEST_PYTHON:-}" ] || exit 0
install_debian_packages chromium || echo "test_python: without Chromium the tests of the report's page are skipped" >&2
if cmp -s tests/requirements.txt $folder/installed.txt; then exit 0; fi
echo "Installing what tests compare with into $folder"
rm -rf $folder
mkdir -p .cache
if install_debian_packages python3-torch && /usr/bin/python3 -m venv --system-site-packages $folder &&
    $folder/bin/python3 -m pip install -q --disable-pip-version-check -r tests/requirements.txt; then
  cp tests/requirements.txt $folder/installed.txt
else
  rm -rf $folder
  echo "test_python: not installed, so tests that compare with other implementations are skipped" >&2
fi
