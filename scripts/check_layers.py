#!/usr/bin/env python3
"""Checks that includes go down the layers only, that heavy headers stay in the few files meant for them, and that no two
headers define types of one name: a program that links both may take the one for the other, and no tool says so."""
import pathlib
import re
import sys

# Folder: the folders that its files may include, besides itself, or single headers. Tests (x_test.cpp) may include
# tests/support as well.
ALLOWED = {
    "base": [],
    "numerics": ["base"],
    "comm": ["base", "numerics"],
    "ops": ["base", "numerics"],
    "cpu": ["base", "numerics", "ops"],
    "cuda": ["base", "comm", "numerics", "ops"],
    "config": ["base"],
    "text": ["base"],
    "data": ["base", "text"],
    "tensorboard": ["base"],
    "output": ["base"],
    "checkpoint": ["base", "comm"],
    "recipes": ["base", "config"],
    "nn": ["base", "comm", "ops", "recipes"],
    "models": ["base", "comm", "config", "nn", "ops", "recipes"],
    "convert": ["base", "checkpoint", "config", "models"],
    "optim": ["base", "comm", "config", "nn/parameter.h", "numerics", "ops"],
    "generate": ["base", "config", "models", "numerics", "recipes"],
    "engine": ["base", "checkpoint", "comm", "config", "cpu", "cuda", "models", "ops", "optim", "recipes"],
    "evaluate": ["base", "checkpoint", "comm", "config", "data", "engine", "output", "text"],
    "train": ["base", "checkpoint", "comm", "config", "data", "engine", "evaluate", "optim", "output", "tensorboard", "text"],
    "plan": ["base", "comm", "config", "engine", "models", "nn", "recipes"],
    "report": ["base", "config", "engine"],
    "tools": ["base", "checkpoint", "comm", "config", "convert", "cpu", "engine", "evaluate", "generate", "output", "plan", "report", "text", "train"],
    "tests": None,  # anything
    "bench": None,
}
# Header: which files may include it.
ONLY_IN = {
    r"yaml-cpp/": r"src/config/yaml\w*\.cpp",
    r"CLI/": r"tools/main\.cpp",
    r".*\.pb\.h$|google/protobuf": r"src/tensorboard/event_file\.cpp",
    r"nlohmann/(?!json_fwd)": r".*\.cpp",
    r"gtest/": r".*_test\.cpp|tests/.*",
    r"benchmark/": r"bench/.*\.cpp",
    r"cblas\.h": r"src/cpu/blas\.cpp",
    r"mpi\.h": r"src/comm/mpi_transport\.cpp",
    r"iostream$|regex$": r"",
    r"cuda\w*\.h$|cublas|cudnn\.h$|nccl\.h$": r"src/cuda/.*|src/numerics/fp8_test\.cpp",
    r"cudnn_frontend": r"src/cuda/attention/attention_cudnn\.cpp",
    r"ops/cases/": r"src/ops/cases/.*|tests/.*|bench/.*",
    r"cub/": r"src/cuda/kernel/sort\.cu",
}
# The only headers of cuda/ that other folders may include: they include no CUDA header.
CUDA_FRONT = {"cuda/open_device.h", "cuda/open_nccl.h"}

root = pathlib.Path(__file__).resolve().parent.parent
files = [f for top in ("src", "tools", "tests", "bench") for f in sorted((root / top).rglob("*")) if f.suffix in (".h", ".cpp", ".cu", ".cuh")]
problems = []
defined = {}  # (namespace, type): the header
for file in files:
    path = file.relative_to(root).as_posix()
    folder = path.split("/")[1 if path.startswith("src/") else 0]
    if folder not in ALLOWED:
        problems.append(f"{path}: the folder {folder} is not in the table of scripts/check_layers.py")
        continue
    namespace = ""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if opened := re.match(r"namespace ([\w:]*) ?\{", line):
            namespace = opened[1]
        named = re.match(r"(?:struct|class|enum class) (\w+)(?: final)? ?[:{]", line)
        if named and file.suffix in (".h", ".cuh"):
            first = defined.setdefault((namespace, named[1]), path)
            if first != path:
                problems.append(f"{path}:{number}: {first} defines a type {named[1]} too")
        include = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not include:
            continue
        header = include[2]
        for pattern, where in ONLY_IN.items():
            if re.match(pattern, header) and not re.fullmatch(where, path):
                problems.append(f"{path}:{number}: may not include {header}")
        if include[1] == "<" or ALLOWED[folder] is None:
            continue
        target = header.split("/")[0]
        if target == "cuda" and folder != "cuda" and header not in CUDA_FRONT:
            problems.append(f"{path}:{number}: may include {', '.join(sorted(CUDA_FRONT))} of cuda/ only")
        is_support = header.startswith("tests/support/") and re.fullmatch(ONLY_IN[r"gtest/"], path)
        if target != folder and target not in ALLOWED[folder] and header not in ALLOWED[folder] and not is_support:
            problems.append(f"{path}:{number}: {folder} may not include {header}; it may include {', '.join(ALLOWED[folder])}")
print("\n".join(problems) or f"check_layers: {len(files)} files keep to the layers")
sys.exit(1 if problems else 0)
