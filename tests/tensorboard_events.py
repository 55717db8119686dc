"""Compares what TensorBoard reads in a folder with the metrics that it should hold.

Usage: tensorboard_events.py FOLDER METRICS.jsonl. Exit code 77: tensorboard or numpy is not there.
"""
import collections
import json
import math
import sys

try:
    import numpy
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ModuleNotFoundError as error:
    print(error)
    sys.exit(77)


def finite_or_nan(value):
    return value if math.isfinite(value) else math.nan


expected = collections.defaultdict(list)
with open(sys.argv[2], encoding="utf-8") as lines:
    for line in lines:
        metrics = json.loads(line)
        step = metrics.pop("step")
        for name, value in metrics.items():
            expected[name].append((step, math.nan if value is None else finite_or_nan(float(numpy.float32(value)))))

accumulator = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
accumulator.Reload()
found = {}
for tag in accumulator.Tags()["scalars"]:
    events = accumulator.Scalars(tag)
    found[tag] = [(event.step, finite_or_nan(event.value)) for event in events]
    assert all(abs(event.wall_time - accumulator.FirstEventTimestamp()) < 3600 for event in events), tag

assert sorted(found) == sorted(expected), f"tags {sorted(found)}; expected {sorted(expected)}"
for tag, points in expected.items():
    assert repr(found[tag]) == repr(points), f"{tag}: {found[tag]}; expected {points}"
print(f"{len(expected)} tags, {sum(map(len, expected.values()))} points, as expected")
