"""Reads a trace as chrome://tracing does and checks its spans: chrome_trace.py TRACE.json.gz NAME=COUNT..."""
import collections
import gzip
import json
import re
import sys

with gzip.open(sys.argv[1], "rt", encoding="utf-8") as file:
    trace = json.load(file)
spans = [event for event in trace["traceEvents"] if event["ph"] == "X"]
threads = [event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "thread_name"]
if threads != ["host"]:
    sys.exit(f"threads {threads}")
for span in spans:
    if not (span["ts"] >= 0 and span["dur"] >= 0 and {"name", "pid", "tid", "cat"} <= span.keys()):
        sys.exit(f"not a complete event: {span}")
counts = collections.Counter(re.sub(r" \d+$", "", span["name"]) for span in spans)
for argument in sys.argv[2:]:
    name, count = argument.rsplit("=", 1)
    if counts[name] != int(count):
        sys.exit(f"{counts[name]} spans {name}, not {count}; all: {counts}")
# Spans nest: each but a step lies within one step.
steps = [span for span in spans if span["name"].startswith("step ")]
for span in spans:
    around = [s for s in steps if s["ts"] <= span["ts"] and span["ts"] + span["dur"] <= s["ts"] + s["dur"] + 1e-3]
    if len(around) != 1:
        sys.exit(f"within {len(around)} steps: {span}")
