#!/usr/bin/env python3
"""Sends the metrics of a run to Weights & Biases: import_to_wandb.py [--offline] [--project P] [--entity E] RUN

RUN is a save folder with metrics.jsonl and config.yaml. Project, entity, group, name and tags are those of the
configuration's section `wandb`, unless options say otherwise; the rest of the configuration goes along. Metrics keep
their names, which are OLMo's, and their steps; as OLMo does, of steps that log_interval does not divide only
evaluations are sent. Metrics that are null (infinite, or not a number) are left out.

--offline writes RUN/wandb/offline-run-... only, which `wandb sync` sends later. Each import makes a run of its own, so
import a run when it has ended.

Needs the Python package wandb, logged in (`wandb login`) unless --offline.
"""
import argparse
import json
import os
import sys

import python_packages


def fail(message):
    sys.exit(f"import_to_wandb: {message}")


def read_config(folder):
    import yaml  # of wandb's own dependencies
    path = os.path.join(folder, "config.yaml")
    try:
        with open(path, encoding="utf-8") as file:
            config = yaml.safe_load(file)
    except (OSError, ValueError, yaml.YAMLError) as error:
        fail(f"{path}: {error}; expected a folder in which `coat train` has saved")
    if not isinstance(config, dict):
        fail(f"{path}: found {type(config).__name__}; expected a configuration")
    return config


def read_metrics(folder):
    """(step, {name: number}) of each line. A last line without an end is still being written, and is left out."""
    path = os.path.join(folder, "metrics.jsonl")
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):
                    return
                try:
                    metrics = json.loads(line)
                    step = metrics.pop("step")
                    if not isinstance(step, int) or not all(isinstance(v, (int, float, type(None))) for v in metrics.values()):
                        raise ValueError("values that are no numbers")
                except (AttributeError, KeyError, ValueError) as error:
                    fail(f"{path}:{number}: is not a line of metrics ({error}); expected {{\"step\":N,\"name\":number,...}}")
                yield step, metrics
    except OSError as error:
        fail(f"{path}: {error.strerror}; expected a folder in which `coat train` has saved")


def to_send(step, metrics, interval):
    every = step % interval == 0
    return {name: value for name, value in metrics.items()
            if value is not None and (every or name.startswith("eval/"))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--offline", action="store_true", help="write files in RUN/wandb, send nothing")
    parser.add_argument("--project", help="instead of wandb.project")
    parser.add_argument("--entity", help="instead of wandb.entity; an empty one is your default")
    arguments = parser.parse_args()
    wandb, = python_packages.load("wandb")
    config = read_config(arguments.run)
    lines = list(read_metrics(arguments.run))  # whole, before anything is sent
    section = config.pop("wandb", None) or {}
    project = arguments.project or section.get("project")
    if not project:
        fail(f"{arguments.run}/config.yaml has no wandb.project; accepted: --project NAME")
    run = wandb.init(
        dir=arguments.run, project=project,
        entity=(section.get("entity") if arguments.entity is None else arguments.entity) or None,
        group=section.get("group"), name=section.get("name") or config.get("run_name"), tags=section.get("tags"),
        config=config, mode="offline" if arguments.offline else "online",
        settings=wandb.Settings(  # of the machine that imports, nothing
            console="off", disable_git=True, disable_code=True, x_disable_stats=True, x_disable_machine_info=True))
    interval = section.get("log_interval") or 1
    sent = 0
    for step, metrics in lines:
        if numbers := to_send(step, metrics, interval):
            run.log(numbers, step=step)
            sent += 1
    run.finish()
    print(f"{sent} of {len(lines)} lines of metrics: {run.dir if arguments.offline else run.url}")


if __name__ == "__main__":
    main()
