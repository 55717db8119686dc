"""Continues prompts greedily with transformers and compares with the ids that `coat generate` printed.

Usage: hf_generate.py DIRECTORY VOCABULARY EOS PROMPT=IDS...  where both are ids between commas, and IDS may be empty.
Ids from VOCABULARY on are rows of the embedding that stand for no token and are never chosen. Exit code 77: a module is
missing.
"""
import sys

try:
    import torch
    import transformers
except ImportError as error:
    print(error)
    sys.exit(77)


def parse(text):
    return [int(word) for word in text.split(",") if word]


directory, vocabulary, end_of_text, *texts = sys.argv[1:]
model = transformers.AutoModelForCausalLM.from_pretrained(directory, torch_dtype=torch.float32)
rows = model.get_output_embeddings().weight.shape[0]
failures = 0
for text in texts:
    prompt, found = map(parse, text.split("="))
    result = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=max(len(found), 1),
                            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                            eos_token_id=int(end_of_text), pad_token_id=1,
                            suppress_tokens=list(range(int(vocabulary), rows)) or None)
    expected = result[0, len(prompt):].tolist()
    if expected and expected[-1] == int(end_of_text):
        expected.pop()
    same = expected == found
    failures += not same
    print(f"{len(found)} tokens after {len(prompt)}: {'the same' if same else f'{found}, expected {expected}'}")
sys.exit(1 if failures else 0)
