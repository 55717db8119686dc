"""Trains small byte-level BPE tokenizers of both of OLMo's kinds and writes texts with the ids that the library gives.

Usage: make_tokenizers.py FOLDER. Writes gpt_neox.json (GPT-2's regex, NFC, as OLMo 1) and dolma2.json (cl100k's regex,
as OLMo 2), texts.jsonl, and per tokenizer NAME.expected.json: the ids of each text. Exit code 77: no tokenizers.
"""
import json
import pathlib
import random
import sys

try:
    import tokenizers
    from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
except ModuleNotFoundError as error:
    print(error)
    sys.exit(77)

CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
SCRIPTS = [
    "The quick brown fox can't jump over 12345 lazy dogs; isn't it SO?! don't  stop\n\n\tindented\r\nline  \n   ",
    "Größe, façade, Ångström, e\u0301te\u0301, naïve — “quotes” … ½ ﬁ",
    "Быстрая коричневая лиса перепрыгивает через ленивую собаку",
    "敏捷的棕色狐狸跳过了懒狗。数学：∑∫√",
    "素早い茶色の狐がのろまな犬を飛び越える。ｶﾀｶﾅ",
    "빠른 갈색 여우가 게으른 개를 뛰어넘습니다 \u1112\u1161\u11ab",
    "الثعلب البني السريع يقفز فوق الكلب الكسول ١٢٣",
    "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है",
    "😀👩‍👩‍👧‍👦🏳️‍🌈 \U0001f1e9\U0001f1ea \u200b\u200d\ufeff\u2028\u00a0",
    "<|endoftext|> in the text, <|endoftext |>, |||IP_ADDRESS||| and <|padding|>",
    "\x00\x01\x1b[31m\x7f\x80\x9f\uffff\U0010ffff",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" + " " * 70 + "\n" * 40 + "\t" * 9,
]


def texts():
    generator = random.Random(17)
    yield from SCRIPTS
    yield " "
    yield "x"
    for _ in range(300):  # any code points, and pieces of the scripts in any order
        points = [generator.choice([generator.randrange(0x80), generator.randrange(0x3000),
                                    generator.randrange(0x110000)]) for _ in range(generator.randrange(1, 60))]
        yield "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000) or "."
        text = generator.choice(SCRIPTS)
        begin = generator.randrange(len(text))
        yield text[begin : begin + generator.randrange(1, 40)] or "."
    yield " ".join(generator.choice(SCRIPTS) for _ in range(2000))


def gpt_neox():
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=True)
    train(tokenizer, 700)
    tokenizer.add_tokens([AddedToken(" " * count, normalized=True) for count in range(24, 1, -1)])
    tokenizer.add_special_tokens(["|||IP_ADDRESS|||"])
    return tokenizer


def dolma2():
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CL100K), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)])  # which must not be added
    train(tokenizer, 1000)
    # And what a file may ask for that would cut documents off or fill them.
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding()
    return tokenizer


def train(tokenizer, size):
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(SCRIPTS * 3, trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<|endoftext|>", "<|padding|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))


folder = pathlib.Path(sys.argv[1])
documents = list(texts())
with open(folder / "texts.jsonl", "w", encoding="utf-8", newline="\n") as file:
    for number, text in enumerate(documents):
        file.write(json.dumps({"text": text}, ensure_ascii=number % 2 == 0) + "\n")
for make in (gpt_neox, dolma2):
    tokenizer = make()
    tokenizer.save(str(folder / f"{make.__name__}.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in documents]
    with open(folder / f"{make.__name__}.expected.json", "w") as file:
        json.dump({"ids": ids, "vocab_size": tokenizer.get_vocab_size(),
                   "normalized": [tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
                                  for text in documents]}, file)
