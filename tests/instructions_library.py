"""Compares what prepare_instructions.py wrote of prompts and responses with what the tokenizers library makes of them.

Usage: instructions_library.py TOKENIZER.json EXAMPLES.jsonl LENGTH EOS PAD DTYPE OUT, for sequences of one example each.
Exit code 77: a module is missing.
"""
import json
import sys

try:
    import numpy
    import tokenizers
except ModuleNotFoundError as error:
    print(error)
    sys.exit(77)

path, examples, length, end, padding, dtype, out = sys.argv[1:]
tokenizer = tokenizers.Tokenizer.from_file(path)
tokenizer.no_truncation()
tokenizer.no_padding()
tokens, masks = [], []
for line in open(examples, encoding="utf-8", newline="\n"):
    example = json.loads(line)
    prompt, response = (tokenizer.encode(example[key], add_special_tokens=False).ids for key in ("prompt", "response"))
    row = numpy.full(int(length), int(padding), dtype)
    mask = numpy.zeros(int(length), "u1")
    whole = (prompt + response + [int(end)])[:int(length)]
    row[:len(whole)] = whole
    mask[len(prompt):len(whole)] = 1
    if mask[1:].any():
        tokens.append(row)
        masks.append(mask)
assert tokens, "no example has a label"
assert numpy.array_equal(numpy.fromfile(out + "-tokens.npy", dtype), numpy.concatenate(tokens))
assert numpy.array_equal(numpy.fromfile(out + "-mask.npy", "u1"), numpy.concatenate(masks))
print(f"{len(tokens)} sequences, {int(numpy.sum(masks))} labels, as the library's")
