"""Serves a tokenizer.json over pipes. Usage: library_tokenizer.py FILE

Numbers are unsigned, little-endian, of 8 bytes. First it writes a JSON object behind its length: {"tokens": [bytes of
each id in hexadecimal, or null], "end_of_text": id or null}, or {"problem": what is wrong, "missing": whether the
library is}. Then it answers requests until its input ends. A request is the number of texts, the number of bytes of
each, and all texts in UTF-8; the answer is the number of ids of each text and all ids, of 4 bytes.
"""
import sys

sys.path[:] = [folder for folder in sys.path if folder]  # not the folder that a user happens to be in

import array
import json
import signal
import struct

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that started this one
requests, answers = sys.stdin.buffer, sys.stdout.buffer


def bytes_of_characters():
    """GPT-2's alphabet, by which a byte-level vocabulary writes bytes as printable characters."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


MOST_IDS = 1 << 24  # more than any vocabulary has; each takes memory, used or not


def require_byte_level(path):
    """Raises ValueError unless ids stand for bytes."""
    decoder = json.load(open(path, encoding="utf-8")).get("decoder") or {}
    parts = decoder.get("decoders", []) if decoder.get("type") == "Sequence" else [decoder]
    kinds = [part.get("type") for part in parts]
    if kinds != ["ByteLevel"]:
        raise ValueError(f"its decoder is {json.dumps(decoder.get('type'))}; accepted: ByteLevel, as of OLMo's tokenizers")


def vocabulary_of(tokenizer):
    """The bytes of each id in hexadecimal, or None."""
    alphabet = bytes_of_characters()
    added = {id: token.content for id, token in tokenizer.get_added_tokens_decoder().items()}
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    for token, id in vocabulary.items():
        if id >= MOST_IDS:
            raise ValueError(f"the id of {json.dumps(token[:50])} is {id}; accepted: ids below {MOST_IDS}")
    tokens = [None] * (max(vocabulary.values(), default=-1) + 1)
    for token, id in vocabulary.items():
        if id in added or any(character not in alphabet for character in token):
            tokens[id] = added.get(id, token).encode().hex()
        else:
            tokens[id] = bytes(alphabet[character] for character in token).hex()
    return tokens


def send(*parts):
    for part in parts:
        answers.write(part)
    answers.flush()


def send_json(value):
    text = json.dumps(value).encode()
    send(struct.pack("<Q", len(text)), text)


def receive(count):
    data = requests.read(count)
    if len(data) < count:
        sys.exit(0)
    return data


def numbers(count):
    return struct.unpack(f"<{count}Q", receive(8 * count))


def open_tokenizer(path):
    try:
        import tokenizers
    except ImportError as error:
        send_json({"problem": str(error), "missing": True})
        sys.exit(1)
    try:
        tokenizer = tokenizers.Tokenizer.from_file(path)
        require_byte_level(path)
        vocabulary = vocabulary_of(tokenizer)
    except Exception as error:
        send_json({"problem": " ".join(str(error).split()), "missing": False})
        sys.exit(1)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    send_json({"tokens": vocabulary, "end_of_text": tokenizer.token_to_id("<|endoftext|>")})
    return tokenizer


def main():
    tokenizer = open_tokenizer(sys.argv[1])
    # Older releases of the library have only the slower of the two, which computes offsets too.
    encode = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
    while True:
        (count,) = numbers(1)
        sizes = numbers(count)
        data = memoryview(receive(sum(sizes)))
        texts, begin = [], 0
        for size in sizes:
            texts.append(str(data[begin : begin + size], "utf-8"))
            begin += size
        encodings = encode(texts, add_special_tokens=False)
        ids = array.array("I")
        counts = []
        for encoding in encodings:
            of_text = encoding.ids
            counts.append(len(of_text))
            ids.extend(of_text)
        send(struct.pack(f"<{count}Q", *counts), ids.tobytes())


try:
    main()
except BrokenPipeError:
    sys.stderr = None  # the other end has gone
