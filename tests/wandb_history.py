"""Imports a run into Weights & Biases, offline, and compares what that wrote with the run.

Usage: wandb_history.py RUN PROJECT GROUP NAME LOG_INTERVAL. Exit code 77: wandb is not there.
"""
import collections
import glob
import json
import os
import struct
import subprocess
import sys

try:
    import yaml
    from wandb.proto import wandb_internal_pb2
except ModuleNotFoundError as error:
    print(error)
    sys.exit(77)

BLOCK, HEADER = 32768, 7
FULL, LAST = 1, 4


def records_of(path):
    """The records of wandb's file: a header of 7 bytes, then the log format of LevelDB."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:4] == b":W&B", data[:4]
    place, record = 7, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
        _, length, kind = struct.unpack_from("<IHB", data, place)
        record += data[place + HEADER:place + HEADER + length]
        place += HEADER + length
        if kind in (FULL, LAST):
            yield wandb_internal_pb2.Record.FromString(record)
            record = b""


folder, project, group, name, interval = *sys.argv[1:5], int(sys.argv[5])
script = os.path.join(os.path.dirname(__file__), "..", "scripts", "import_to_wandb.py")
outcome = subprocess.run([sys.executable, script, "--offline", folder], capture_output=True, text=True)
print(outcome.stdout + outcome.stderr)
assert outcome.returncode == 0

expected = collections.defaultdict(dict)
with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as lines:
    for line in lines:
        metrics = json.loads(line)
        step = metrics.pop("step")
        for key, value in metrics.items():
            if value is not None and (step % interval == 0 or key.startswith("eval/")):
                expected[step][key] = value

(path,) = glob.glob(os.path.join(folder, "wandb", "offline-run-*", "run-*.wandb"))
found = collections.defaultdict(dict)
config = {}
run = None
for record in records_of(path):
    if record.HasField("run"):
        run = record.run
        config.update({item.key: json.loads(item.value_json) for item in run.config.update})
    elif record.HasField("history"):
        for item in record.history.item:
            key = item.key or "/".join(item.nested_key)
            if not key.startswith("_"):
                found[record.history.step.num][key] = json.loads(item.value_json)

assert found == expected, f"{found}; expected {expected}"
assert expected and any(len(metrics) > 3 for metrics in expected.values())
assert (run.project, run.run_group, run.display_name) == (project, group, name), run
with open(os.path.join(folder, "config.yaml"), encoding="utf-8") as file:
    whole = yaml.safe_load(file)
tags = whole.pop("wandb")["tags"]
assert list(run.tags) == tags, run.tags
config.pop("_wandb", None)
assert config == whole, f"{config}; expected {whole}"
