"""Continues prompts greedily with transformers and compares with the ids that `coat generate` printed.

Usage: hf_generate.py DIRECTORY VOCABULARY EOS PROMPT=IDS...  where both are ids between commas, and IDS may be empty.
Ids from VOCABULARY on are rows of the embedding that stand for no token and are never chosen. Exit code 77: a module is
missing.
"""
import sys

try:
    import torch
    import transformers
except ModuleNotFoundError as error:
    print(error)
    sys.exit(77)


def parse(text):
    return [int(word) for word in text.split(",") if word]


def greedy(model, tokens, end_of_text, vocabulary, most):
    """The likeliest token of the model's logits for the whole sequence, one after the other."""
    new = []
    while len(new) < most:
        with torch.no_grad():
            logits = model(torch.tensor([tokens + new])).logits[0, -1]
        new.append(logits[:vocabulary].argmax().item())
        if new[-1] == end_of_text:
            return new[:-1]
    return new


directory, vocabulary, end_of_text, *texts = sys.argv[1:]
model = transformers.AutoModelForCausalLM.from_pretrained(directory, torch_dtype=torch.float32)
failures = 0
for text in texts:
    prompt, found = map(parse, text.split("="))
    expected = greedy(model, prompt, int(end_of_text), int(vocabulary), max(len(found), 1))
    same = expected == found
    failures += not same
    print(f"{len(found)} tokens after {len(prompt)}: {'the same' if same else f'{found}, expected {expected}'}")
sys.exit(1 if failures else 0)
