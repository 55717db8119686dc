"""Compares token files of `coat tokenize` with what the tokenizers library, called directly, makes of the documents.

Usage: tokenize_library.py TOKENIZER.json DOCUMENTS.jsonl DTYPE EOS_ID FILE.npy... Exit code 77: a module is missing.
"""
import json
import sys

try:
    import numpy
    import tokenizers
except ModuleNotFoundError as error:
    print(error)
    sys.exit(77)

path, documents, dtype, end_of_text, *files = sys.argv[1:]
tokenizer = tokenizers.Tokenizer.from_file(path)
tokenizer.no_truncation()
tokenizer.no_padding()
expected = []
for line in open(documents, encoding="utf-8", newline="\n"):
    expected += tokenizer.encode(json.loads(line)["text"], add_special_tokens=False).ids + [int(end_of_text)]
found = numpy.concatenate([numpy.memmap(file, dtype=dtype, mode="r") for file in files])
print(f"{len(found)} tokens in {len(files)} files, {len(expected)} by the library")
sys.exit(0 if numpy.array_equal(found, expected) else 1)
