"""Puts the parts of a checkpoint that several ranks saved together, as docs/checkpoints.md says, and compares the
tensors with those of a checkpoint of one rank.

Usage: read_parts.py PARTS WHOLE
"""
import json
import sys


def read_safetensors(path):
    """The tensors of a file: name to dtype, shape and bytes."""
    with open(path, "rb") as file:
        data = file.read()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    header.pop("__metadata__", None)
    return {name: (tensor["dtype"], tensor["shape"], data[begin:][slice(*tensor["data_offsets"])])
            for name, tensor in header.items()}


parts, whole = sys.argv[1:]
for name in ("model", "optim"):
    with open(f"{parts}/{name}.parts.json", encoding="utf-8") as file:
        index = json.load(file)
    files = [read_safetensors(f"{parts}/{file}") for file in index["files"]]
    found = {}
    for tensor in index["tensors"]:
        data, elements = b"", 0
        for number, first, count in tensor["parts"]:
            dtype, shape, part = files[number].pop(tensor["name"])
            assert first == elements and shape == [count] and dtype == tensor["dtype"], tensor["name"]
            data, elements = data + part, elements + count
        found[tensor["name"]] = (tensor["dtype"], tensor["shape"], data)
    assert not any(files), "tensors that the index does not mention"
    assert found == read_safetensors(f"{whole}/{name}.safetensors")
    print(f"{name}: {len(found)} tensors in {len(files)} files are equal")
