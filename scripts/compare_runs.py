#!/usr/bin/env python3
"""Compares training runs: compare_runs.py [--bytes VALIDATION.npy] PLOT.png RUN RUN...

A RUN is a save folder with metrics.jsonl, and plan.json by `coat plan --json`. Prints a table; gnuplot draws the losses
and, below, how far each run's training loss is from the first run's. --bytes: the tokens are bytes, so that losses are
bits per byte as well, beside what the byte frequencies of the validation file alone give.
"""
import array
import collections
import json
import math
import os
import statistics
import subprocess
import sys

TRAIN = "train/CrossEntropyLoss"
VALIDATION = "eval/validation/CrossEntropyLoss"
SPEED = "throughput/device/tokens_per_second"
LAST = 10  # logged steps whose mean is the final training loss: a single step is noisy


class Run:
    def __init__(self, folder):
        self.name = os.path.basename(os.path.normpath(folder))
        with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as lines:
            self.steps = [json.loads(line) for line in lines]
        with open(os.path.join(folder, "plan.json"), encoding="utf-8") as file:
            self.bytes = json.load(file)["plans"][0]["categories"]

    def series(self, name):
        return [(step["step"], step[name]) for step in self.steps if step.get(name) is not None]

    def final(self, name, count=1):
        last = [value for _, value in self.series(name)[-count:]]
        return statistics.mean(last) if last else math.nan


def byte_entropy(path):
    """Bits a token that the best model without context needs: one that knows the file's own frequencies."""
    tokens = array.array("H")
    with open(path, "rb") as file:
        tokens.frombytes(file.read())
    return -sum(n / len(tokens) * math.log2(n / len(tokens)) for n in collections.Counter(tokens).values())


def print_table(runs, entropy):
    def row(label, cells):
        print(f"{label:40}" + "".join(f"{cell:>22}" for cell in cells))

    def state(run):
        return run.bytes["moments"] + run.bytes["metadata"]

    row("", [run.name for run in runs])
    row(f"training loss, last {LAST} logged (nats)", [f"{run.final(TRAIN, LAST):.4f}" for run in runs])
    row("validation loss (nats)", [f"{run.final(VALIDATION):.4f}" for run in runs])
    if entropy is not None:
        row("validation loss (bits per byte)", [f"{run.final(VALIDATION) / math.log(2):.4f}" for run in runs])
        row("  byte frequencies alone", [f"{entropy:.4f}"] * len(runs))
    row("optimizer state (bytes)", [f"{state(run):,}" for run in runs])
    row("saved activations (bytes)", [f"{run.bytes['saved']:,}" for run in runs])
    row("tokens/s, median", [f"{statistics.median(v for _, v in run.series(SPEED)):,.0f}" for run in runs])
    first = runs[0]
    for run in runs[1:]:
        losses = run.final(TRAIN, LAST) / first.final(TRAIN, LAST) - 1, run.final(VALIDATION) / first.final(VALIDATION) - 1
        print(f"\n{run.name} against {first.name}: training loss {losses[0]:+.2%}, validation loss {losses[1]:+.2%},"
              f" optimizer state x{state(run) / state(first):.2f}, activations x{run.bytes['saved'] / first.bytes['saved']:.2f}")


def smoothed_gaps(run, first):
    """Per cent from the first run's training loss, means over LAST logged steps, or all where there are fewer."""
    gaps = [(step, 100.0 * (loss / reference - 1.0))
            for (step, loss), (_, reference) in zip(run.series(TRAIN), first.series(TRAIN))]
    window = min(LAST, len(gaps))
    return [(gaps[end - 1][0], statistics.mean(gap for _, gap in gaps[end - window:end]))
            for end in range(max(window, 1), len(gaps) + 1)]


def plot(runs, path):
    def panel(curves):
        commands = ["plot " + ", ".join(f"'-' with {style} lc {color} title '{title}'" for style, color, title, _ in curves)]
        for *_, points in curves:
            commands += [f"{step} {value}" for step, value in points] + ["e"]
        return commands

    losses, gaps = [], []
    for color, run in enumerate(runs, 1):
        losses.append(("lines lw 1", color, f"{run.name}, training", run.series(TRAIN)))
        losses.append(("linespoints lw 2 pt 7", color, f"{run.name}, validation", run.series(VALIDATION)))
        gaps.append(("lines lw 2", color, run.name, smoothed_gaps(run, runs[0])))
    script = ["set terminal png size 1000,1000", f"set output '{path}'", "set multiplot layout 2,1", "set grid",
              "set key noenhanced", "set ylabel 'loss (nats)'", *panel(losses), "set xlabel 'step'",
              f"set ylabel 'training loss against {runs[0].name} (%)' noenhanced", *panel(gaps), "unset multiplot"]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)


def main():
    arguments = sys.argv[1:]
    entropy = None
    if len(arguments) > 1 and arguments[0] == "--bytes":
        entropy = byte_entropy(arguments[1])
        arguments = arguments[2:]
    if len(arguments) < 2 or arguments[0].startswith("-"):
        sys.exit(__doc__)
    picture, *folders = arguments
    try:
        runs = [Run(folder) for folder in folders]
    except FileNotFoundError as error:
        sys.exit(f"compare_runs.py: {error.filename}: no such file; a run's folder has metrics.jsonl, and plan.json by "
                 "`coat plan RUN/config.yaml --json >RUN/plan.json`")
    print_table(runs, entropy)
    plot(runs, picture)
    print(f"\nLosses step by step: {picture}; all numbers: metrics.jsonl in {' and '.join(folders)}")


if __name__ == "__main__":
    main()
