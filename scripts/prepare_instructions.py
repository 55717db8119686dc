#!/usr/bin/env python3
"""Makes token files and label masks of instructions: OUT-tokens.npy and OUT-mask.npy for `coat train`.

Reads JSON, one object a line, gzip or not: {"prompt": ..., "response": ...}, or {"messages": [{"role": ..., "content":
...}, ...]}, whose last message is the response and whose others become "<|role|>\\ncontent\\n" before it, as OLMo's
script for Tulu does. An example is the prompt's tokens, the response's and the end of text. Labels are the response's
tokens and the end; the mask is 0 for all else.

Each example has a sequence of its own, filled up with padding, or with --pack several follow each other where they fit;
data.generate_doc_lengths then keeps attention within each. An example that is longer than a sequence is cut; one whose
response is cut off whole is left out.

Token files are raw little-endian uint16 or uint32, masks a byte a token. The same input gives the same files. The
tokenizer is `bytes` (ids 0 to 255, end of text 256), or a tokenizer.json, which needs the Python package tokenizers.
"""
import argparse
import array
import gzip
import json
import os
import sys

import python_packages

END_OF_TEXT, PADDING = "<|endoftext|>", "<|padding|>"


class Bytes:
    size = 257

    def encode(self, text):
        return list(text.encode())

    def id_of(self, name):
        return 256 if name == END_OF_TEXT else None


class Library:
    def __init__(self, path):
        tokenizers, = python_packages.load("tokenizers")
        try:
            self.tokenizer = tokenizers.Tokenizer.from_file(path)
        except Exception as error:  # the library has no class for it
            fail(f"{path}: {error}")
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.size = max(self.tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def id_of(self, name):
        return self.tokenizer.token_to_id(name)


def fail(message):
    sys.exit(f"prepare_instructions.py: {message}")


def text_in(value, key, where):
    if not isinstance(value, dict) or not isinstance(value.get(key), str):
        fail(f"{where}: no text in `{key}`; accepted: prompt and response, or messages of role and content")
    return value[key]


def prompt_and_response(example, where):
    messages = example.get("messages") if isinstance(example, dict) else None
    if messages is None:
        return text_in(example, "prompt", where), text_in(example, "response", where)
    if not isinstance(messages, list) or not messages:
        fail(f"{where}: `messages` is no list of messages")
    parts = []
    for message in messages:
        parts += [f"<|{text_in(message, 'role', where)}|>\n", text_in(message, "content", where) + "\n"]
    return "".join(parts[:-1]), messages[-1]["content"]


def examples(paths):
    for path in paths:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            for number, line in enumerate(file, 1):
                where = f"{path}:{number}"
                if not line.strip():
                    continue
                try:
                    example = json.loads(line)
                except ValueError as error:
                    fail(f"{where}: no JSON: {error}")
                yield prompt_and_response(example, where)


class Writer:
    """Sequences of `length` tokens, each with its mask."""

    def __init__(self, options, end, padding, wide):
        self.options, self.end, self.padding = options, end, padding
        self.paths = [f"{options.out}-tokens.npy", f"{options.out}-mask.npy"]
        for path in self.paths:
            if os.path.exists(path) and not options.overwrite:
                fail(f"{path} exists; --overwrite writes over it")
            if os.path.isdir(path):
                fail(f"{path} is a folder")
        self.files = []
        os.makedirs(os.path.dirname(options.out) or ".", exist_ok=True)
        try:
            for path in self.paths:
                self.files.append(open(path + ".tmp", "wb"))
        except OSError:
            self.discard()
            raise
        self.type = "I" if wide else "H"
        self.tokens, self.mask = [], []
        self.sequences = self.labels = self.cut = self.left_out = 0

    def add(self, prompt, response):
        length = self.options.length
        tokens = prompt + response + [self.end]
        mask = [0] * len(prompt) + [1] * (len(response) + 1)
        if len(tokens) > length:
            self.cut += 1
            tokens, mask = tokens[:length], mask[:length]
        if not any(mask[1:]):  # nobody predicts the first token of a sequence
            self.left_out += 1
            return
        if not self.options.pack or len(self.tokens) + len(tokens) > length:
            self.flush()
        self.tokens += tokens
        self.mask += mask

    def flush(self):
        if not self.tokens:
            return
        free = self.options.length - len(self.tokens)
        tokens = array.array(self.type, self.tokens + [self.padding] * free)
        if sys.byteorder == "big":
            tokens.byteswap()
        self.files[0].write(tokens.tobytes())
        self.files[1].write(bytes(self.mask + [0] * free))
        self.sequences += 1
        self.labels += sum(self.mask)
        self.tokens, self.mask = [], []

    def finish(self):
        self.flush()
        for file in self.files:
            file.close()
        for file, path in zip(self.files, self.paths):
            os.replace(file.name, path)

    def discard(self):
        for file in self.files:
            try:
                file.close()
            except OSError:
                pass  # what could not be written is not wanted any more
            if os.path.exists(file.name):
                os.remove(file.name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="IN.jsonl")
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("--tokenizer", required=True, help="bytes, or a tokenizer.json")
    parser.add_argument("--length", type=int, required=True, help="tokens of a sequence: model.max_sequence_length")
    parser.add_argument("--eos", type=int, help=f"id that ends an example; default: that of {END_OF_TEXT}")
    parser.add_argument("--pad", type=int, help=f"id that fills a sequence; default: that of {PADDING}, or --eos")
    parser.add_argument("--pack", action="store_true", help="several examples in a sequence")
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    if options.length < 2:
        fail(f"--length is {options.length}; accepted: at least 2")
    tokenizer = Bytes() if options.tokenizer == "bytes" else Library(options.tokenizer)
    end = tokenizer.id_of(END_OF_TEXT) if options.eos is None else options.eos
    if end is None:
        fail(f"{options.tokenizer} has no {END_OF_TEXT}; --eos ID says which token ends an example")
    padding = options.pad
    if padding is None:
        padding = tokenizer.id_of(PADDING)
    if padding is None:
        padding = end
    wide = max(tokenizer.size - 1, end, padding) > 0xFFFF
    if min(end, padding) < 0 or max(end, padding) > 0x7FFFFFFF:
        fail(f"--eos is {end}, --pad {padding}; accepted: ids of tokens")
    writer = Writer(options, end, padding, wide)
    count = 0
    try:
        for prompt, response in examples(options.inputs):
            writer.add(tokenizer.encode(prompt), tokenizer.encode(response))
            count += 1
        if writer.sequences == 0 and not writer.tokens:
            fail(f"{count} examples, and none has a label within {options.length} tokens")
        writer.finish()
    except BaseException:
        writer.discard()
        raise
    print(f"{count} examples, {writer.cut} of them cut, {writer.left_out} left out: {writer.sequences} sequences of "
          f"{options.length} {'uint32' if wide else 'uint16'} tokens, {writer.labels} of them labels, in "
          f"{' and '.join(writer.paths)}; end of text {end}, padding {padding}, ids below {tokenizer.size}")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        fail(error)
