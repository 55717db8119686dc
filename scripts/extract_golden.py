#!/usr/bin/env python3
"""Cuts the files of tests/golden out of full recordings of COAT and OLMo, so that a clone carries less than 3 MB.

    scripts/extract_golden.py RECORDINGS tests/golden

RECORDINGS is a folder with coat_ops.safetensors, coat_adamw.safetensors, olmo_tiny_weights.safetensors and
olmo_tiny_f32.safetensors.

coat_adamw: gradients, parameters and states of COAT's FP8 AdamW over six steps; left out is its float64 reference, which
the test computes itself.

olmo_tiny: the weights of a two-layer OLMo (d_model 128, 2 heads, mlp_ratio 8, vocabulary 500 padded to 512, tied), four
sequences of 128 tokens, and from OLMo in PyTorch, float32: the loss (mean over the 127 predicted positions), every 32nd
position's logits of sequence 0 and every 128th row of each gradient.

coat_ops: the recording holds what the ops of NVlabs/COAT (commit 80ec99f, Triton 3.6, PyTorch 2.11, one NVIDIA H200) gave for
random inputs of 128 x 512, a weight of 768 x 512 and gradients. The test needs 12 rows of them, which have
every extreme of the input: row 3 is tiny, 16 values of row 5 are zero, row 9 has the outlier that decides the scale of
the whole tensor. Of the weight, 16 rows are kept that have its largest value.

While the recording was made, something overwrote the first three rows of the input on the device, after the first
quantizations were done; the input that was stored was a copy from before. Ops that ran later therefore had another
input, with values up to 1e36 in these rows. It can be told from the residual add, which gave bf16(x + residual): the
values are too large for the residual to show. It is written as "x_later".
"""

import json
import struct
import sys

ROWS = range(12)
WEIGHT_ROWS = range(544, 560)
OVERWRITTEN_ROWS = 3

# How each tensor is cut: along its rows, its columns, or not at all.
BY_ROW = """
    x.bf16 g.bf16 res.bf16 in.q in.s up.q up.s
    quantize.E4M3.g16.q quantize.E4M3.g16.s quantize.E4M3.g32.q quantize.E4M3.g32.s
    quantize.E4M3.g128.q quantize.E4M3.g128.s quantize.E5M2.g16.q quantize.E5M2.g16.s
    quantize.E5M2.g64.q quantize.E5M2.g64.s quantize.E5M2.g128.q quantize.E5M2.g128.s
    dequantize.E4M3.g16.y
    pertensor_t.E4M3.q pertensor_t.E5M2.q
    ln.q ln.mean ln.rstd ln_bwd.dx silu.q silu.s silu_bwd.dx mul.q
    add_fwd.fp add_fwd.q add_fwd.s add_bwd.fp add_bwd.q
""".split()
BY_COLUMN = "pertensor_t.E4M3.qt pertensor_t.E5M2.qt mul.qt".split()
WHOLE = "pertensor_t.E4M3.s pertensor_t.E5M2.s ln.s mul.s add_bwd.s wq.s".split()
BY_WEIGHT_ROW = "W.f32 wq.q".split()
BY_ROW_AND_WEIGHT_ROW = "lin_fwd.y lin_fwd_q.q lin_fwd_q.s".split()  # scales: one for 16 weight rows

ELEMENT_BYTES = {"F8_E4M3": 1, "F8_E5M2": 1, "BF16": 2, "F32": 4, "I32": 4, "I64": 8}
LOGITS_STEP = 32
GRADIENT_STEP = 128


def read(path):
    """All tensors of a safetensors file: name -> (dtype, shape, bytes)."""
    with open(path, "rb") as file:
        (header_bytes,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(header_bytes))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: (info["dtype"], info["shape"], data[slice(*info["data_offsets"])]) for name, info in header.items()}


def write(path, tensors, metadata):
    header = {"__metadata__": metadata}
    end = 0
    order = sorted(tensors, key=lambda name: -ELEMENT_BYTES[tensors[name][0]])
    for name in order:
        dtype, shape, data = tensors[name]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(tensors[name][2])


def cut(tensor, rows, columns=None):
    """Some rows of a tensor and, of a matrix, some columns."""
    dtype, shape, data = tensor
    size = ELEMENT_BYTES[dtype]
    width = shape[1] if len(shape) == 2 else 1
    columns = columns or range(width)
    rows = rows or range(shape[0])
    kept = b"".join(data[(row * width + columns.start) * size : (row * width + columns.stop) * size] for row in rows)
    return dtype, [len(rows)] + ([len(columns)] if len(shape) == 2 else []), kept


def floats(data):
    return [struct.unpack("<f", b"\0\0" + data[i : i + 2])[0] for i in range(0, len(data), 2)]


def bfloat16(value):
    """To nearest; ties to even."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    return struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)


def later_input(x, total, residual):
    """x with its first rows as the residual add saw them."""
    dtype, shape, data = x
    size = 2 * OVERWRITTEN_ROWS * shape[1]
    pairs = zip(floats(total[2][:size]), floats(residual[2][:size]))
    values = [a if abs(a) > 1e6 else a - b for a, b in pairs]
    return dtype, shape, b"".join(bfloat16(value) for value in values) + data[size:]


def extract_ops(recording, output):
    result = {name: cut(recording[name], ROWS) for name in BY_ROW}
    result |= {name: cut(recording[name], None, ROWS) for name in BY_COLUMN}
    result |= {name: recording[name] for name in WHOLE}
    result |= {name: cut(recording[name], WEIGHT_ROWS) for name in BY_WEIGHT_ROW}
    for name in BY_ROW_AND_WEIGHT_ROW:
        step = 768 // recording[name][1][1]
        result[name] = cut(recording[name], ROWS, range(WEIGHT_ROWS.start // step, WEIGHT_ROWS.stop // step))
    result["x_later"] = later_input(result["x.bf16"], result["add_fwd.fp"], result["res.bf16"])
    metadata = {"source": "ops of NVlabs/COAT 80ec99f (Triton 3.6, PyTorch 2.11, NVIDIA H200)",
                "cut": "scripts/extract_golden.py: rows 0 to 11 of 128, weight rows 544 to 559 of 768"}
    write(output, result, metadata)


def extract_adamw(recording, output):
    result = {name: tensor for name, tensor in recording.items() if not name.startswith("expansion.ref")}
    write(output, result, {"source": "NVlabs/COAT 80ec99f, fp8_adamw_expand kernel: 6 steps, lr 1e-3, betas 0.9 and "
                                     "0.95, eps 1e-8, weight decay 0.1, group 128, expand_min 16"})


def as_int32(tensor):
    _, shape, data = tensor
    count = len(data) // 8
    return "I32", shape, struct.pack(f"<{count}i", *struct.unpack(f"<{count}q", data))


def extract_olmo(weights, recording, output):
    result = dict(weights)
    dtype, shape, data = recording["f32.logits"]
    result["logits"] = cut((dtype, shape[1:], data), range(0, shape[1], LOGITS_STEP))
    result["loss"] = recording["f32.loss"]
    result["tokens"] = as_int32(recording["tokens"])
    for name, tensor in recording.items():
        if name.startswith("f32.grad."):
            result["grad." + name.removeprefix("f32.grad.")] = cut(tensor, range(0, tensor[1][0], GRADIENT_STEP))
    write(output, result, {"source": "OLMo (PyTorch, float32)"})


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    recordings, output = sys.argv[1:]
    extract_ops(read(f"{recordings}/coat_ops.safetensors"), f"{output}/coat_ops.safetensors")
    extract_adamw(read(f"{recordings}/coat_adamw.safetensors"), f"{output}/coat_adamw.safetensors")
    extract_olmo(read(f"{recordings}/olmo_tiny_weights.safetensors"), read(f"{recordings}/olmo_tiny_f32.safetensors"),
                 f"{output}/olmo_tiny.safetensors")


if __name__ == "__main__":
    main()
