#!/usr/bin/env python3
"""Makes token files of real text: trains a byte-level BPE on it and writes train.npy, validation.npy, tokenizer.json.

Reads files and folders of HTML, man pages and plain text, compressed with gzip or not; other files are passed over.
Markup is stripped, files that are not English prose are left out, and so is every paragraph that occurred before. The
documents are put in an order that depends on their text alone, and each ends with <|endoftext|>, token 0. The same
input gives the same files. The token files are raw little-endian uint16, as OLMo and `coat train` read them.

Needs the Python packages tokenizers and numpy.
"""
import argparse
import gzip
import hashlib
import html
import multiprocessing
import os
import re

import python_packages

numpy, tokenizers = python_packages.load("numpy", "tokenizers")

END_OF_TEXT = "<|endoftext|>"
SKIPPED_FOLDERS = {"_modules", "_sources", "_static", "_images", "src"}  # sources, and text that is in the HTML as well
SKIPPED_NAMES = re.compile(r"genindex|search|py-modindex|changelog|copyright|index-\d|allclasses|hierarchy", re.I)
HTML_SUFFIXES = {".html", ".htm", ".xhtml", ".en"}
TEXT_SUFFIXES = {"", ".txt", ".text", ".rst", ".md", ".pod", ".info", ".dict"}
PARAGRAPH_TAGS = "p|div|h[1-6]|ul|ol|dl|table|section|blockquote|hr|article|main"
QUOTES = {"aq": "'", "cq": "'", "oq": "'", "dq": '"', "lq": '"', "rq": '"'}  # others are mostly dashes
MAN_SUFFIX = re.compile(r"\.[1-9][a-z]*$")
MOST_BYTES = 4 << 20  # of a file: longer ones are tables
LEAST_CHARACTERS, MOST_CHARACTERS = 300, 100_000  # of a document; longer ones are cut between paragraphs
SHORT_PARAGRAPH, MOST_SHORT = 40, 16  # headings and the like may occur so many times
COMMON_WORDS = {"the", "of", "and", "to", "is", "that", "for", "with", "in"}
LEAST_COMMON = 0.15  # of all words; English prose has 0.2 and more, code, lists of names and other languages far less


def text_of_html(page):
    page = re.sub(r"(?is)<!--.*?-->|<(script|style|head|nav|svg|footer|select)\b.*?</\1\s*>", " ", page)
    parts = []
    for part in re.split(r"(?is)(<pre\b.*?</pre\s*>)", page):
        if part[:4].lower() != "<pre":
            part = re.sub(r"\s+", " ", part)
            part = re.sub(rf"(?i)</?({PARAGRAPH_TAGS})\b[^>]*>", "\n\n", part)
            part = re.sub(r"(?i)<(li|br|tr|dt|dd)\b[^>]*>", "\n", part)
            part = re.sub(r"(?i)<(td|th)\b[^>]*>", " ", part)
        else:
            part = f"\n\n{part}\n\n"
        parts.append(html.unescape(re.sub(r"<[^<>]*>", "", part)))
    return "".join(parts)


def text_of_man_page(page):
    lines = []
    for line in page.split("\n"):
        request = re.match(r"[.']\s*(\S*)\s*(.*)", line)
        if request:
            name, line = request.groups()
            if name in ("SH", "SS", "Sh", "Ss", "PP", "P", "LP", "TP", "IP", "HP", "Pp", "It", "Bl", "El", "sp"):
                lines.append("")
                line = line if name in ("SH", "SS", "Sh", "Ss", "It") else ""
            elif not re.fullmatch(r"[BIR]{1,2}|SM|[A-Z][a-z]", name):
                continue
            line = line.replace('"', "")
        line = re.sub(r"\\f(\[\w*\]|\(..|.)|\\s[-+]?\d|\\[&|^/,]", "", line)
        line = re.sub(r"\\\((..)|\\\[([^]]*)\]", lambda special: QUOTES.get(special[1] or special[2], "-"), line)
        lines.append(line.replace("\\-", "-").replace("\\e", "\\").replace("\\ ", " "))
    return "\n".join(lines)


def read_text(path):
    """The text of a file, or None if it holds none."""
    name = os.path.basename(path)
    with open(path, "rb") as file:
        content = file.read()
    if name.endswith((".gz", ".dz")):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError):
            return None
        name = name[:-3]
    suffix = os.path.splitext(name)[1].lower()
    try:
        text = content.decode("utf-8").replace("\r", "")
    except UnicodeDecodeError:
        return None
    if "\0" in text or (len(content) > MOST_BYTES and suffix != ".dict"):
        return None
    if suffix in HTML_SUFFIXES:
        return text_of_html(text)
    if MAN_SUFFIX.fullmatch(suffix):
        return text_of_man_page(text)
    return text if suffix in TEXT_SUFFIXES else None


def is_english(text):
    words = re.findall(r"[^\W\d_]+", text.lower())
    return len(words) > 40 and sum(word in COMMON_WORDS for word in words) >= LEAST_COMMON * len(words)


def paragraphs_of(path):
    """The paragraphs of a file that is English text, else none."""
    text = read_text(path)
    if text is None or not is_english(text):
        return []
    text = text.replace("\xa0", " ").replace("\xad", "").replace("¶", "")
    text = re.sub(r"[ \t\f\v]+\n", "\n", text)
    return [paragraph.strip("\n") for paragraph in re.split(r"\n{2,}", text) if paragraph.strip()]


def files_below(paths):
    for path in paths:
        if os.path.isfile(path):
            yield path
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
            for name in sorted(names):
                file = os.path.join(folder, name)
                if not SKIPPED_NAMES.search(name) and os.path.isfile(file) and not os.path.islink(file):
                    yield file


def key_of(text):
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def without_repetitions(documents):
    """The lists of paragraphs without those that occurred before, whatever their markup and white space."""
    seen = {}
    for paragraphs in documents:
        kept = []
        for paragraph in paragraphs:
            key = key_of("".join(re.findall(r"\w+", paragraph.lower())) or paragraph)
            seen[key] = seen.get(key, 0) + 1
            if seen[key] <= (MOST_SHORT if len(paragraph) < SHORT_PARAGRAPH else 1):
                kept.append(paragraph)
        yield kept


def pieces_of(paragraphs):
    """The paragraphs as documents that are not too long."""
    first, size = 0, 0
    for i, paragraph in enumerate(paragraphs):
        if size + len(paragraph) > MOST_CHARACTERS and i > first:
            yield "\n\n".join(paragraphs[first:i])
            first, size = i, 0
        size += len(paragraph) + 2
    yield "\n\n".join(paragraphs[first:])


def read_documents(paths, pool):
    """The texts, in an order that mixes the sources."""
    documents = [
        text for paragraphs in without_repetitions(pool.imap(paragraphs_of, files_below(paths), chunksize=64))
        for text in pieces_of(paragraphs) if len(text) >= LEAST_CHARACTERS and is_english(text)]
    return sorted(documents, key=key_of)


def train_tokenizer(documents, vocabulary, sample_bytes):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False)
    total = sum(len(text) for text in documents)
    step = max(1, -(-total // sample_bytes))  # every so manieth document
    tokenizer.train_from_iterator(documents[::step], trainer)
    if tokenizer.get_vocab_size() != vocabulary:
        raise SystemExit(f"the text gives a vocabulary of {tokenizer.get_vocab_size()}, not {vocabulary}: too short")
    return tokenizer


def load_tokenizer(path):
    global loaded_tokenizer
    loaded_tokenizer = tokenizers.Tokenizer.from_file(path)


def encode(text):
    ids = loaded_tokenizer.encode(text).ids
    return numpy.array(ids + [loaded_tokenizer.token_to_id(END_OF_TEXT)], dtype="<u2")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", help="files and folders")
    parser.add_argument("--out", required=True, help="folder for the three files")
    parser.add_argument("--vocabulary", type=int, default=16384,
                        help="tokens, <|endoftext|> included (default %(default)s)")
    parser.add_argument("--validation-tokens", type=int, default=1_000_000,
                        help="stop at the first document that reaches this (default %(default)s)")
    parser.add_argument("--train-tokens", type=int, help="likewise (default: all)")
    parser.add_argument("--sample-bytes", type=int, default=64 << 20,
                        help="text to train the tokenizer on, taken evenly (default %(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="(default %(default)s)")
    arguments = parser.parse_args()
    if not 257 <= arguments.vocabulary <= 65536:
        parser.error("--vocabulary is 257 to 65536: 256 bytes and <|endoftext|> at least, uint16 at most")
    os.makedirs(arguments.out, exist_ok=True)
    file_of = {name: os.path.join(arguments.out, name) for name in ("tokenizer.json", "train.npy", "validation.npy")}

    with multiprocessing.Pool(arguments.processes) as pool:
        documents = read_documents(arguments.inputs, pool)
    size = sum(len(text.encode()) for text in documents)
    print(f"{len(documents):,} documents, {size:,} bytes of text", flush=True)
    train_tokenizer(documents, arguments.vocabulary, arguments.sample_bytes).save(file_of["tokenizer.json"])

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    limits = {"validation": arguments.validation_tokens, "train": arguments.train_tokens}
    with multiprocessing.Pool(arguments.processes, load_tokenizer, (file_of["tokenizer.json"],)) as pool:
        encoded = zip(documents, pool.imap(encode, documents, chunksize=64))
        for part, limit in limits.items():
            tokens, count, used = 0, 0, 0
            with open(file_of[f"{part}.npy"], "wb") as file:
                for text, ids in encoded:
                    ids.tofile(file)
                    tokens, count, used = tokens + len(ids), count + 1, used + len(text.encode())
                    if limit and tokens >= limit:
                        break
            if not tokens:
                raise SystemExit(f"no text is left for {part}")
            print(f"{part}: {count:,} documents, {used:,} bytes, {tokens:,} tokens, {used / tokens:.3f} bytes a token")


if __name__ == "__main__":
    main()
