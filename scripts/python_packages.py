"""Python packages that Python itself has not, for the scripts beside this file."""
import importlib
import os
import shlex
import sys

ENVIRONMENT = "~/.venvs/coat"


def load(*names):
    """The packages of these names, as modules. Where one is missing, the script ends and says how to get them all."""
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {error} in {sys.executable}. An environment with what is needed:\n"
                 f"  python3 -m venv {ENVIRONMENT} && {ENVIRONMENT}/bin/pip install {' '.join(names)}\n"
                 f"  {ENVIRONMENT}/bin/python3 {shlex.join(sys.argv)}")
