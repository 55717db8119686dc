"""Compares the logits of a Hugging Face directory, as transformers computes them, with OLMo's own.

Usage: hf_logits.py DIRECTORY tests/golden/olmo_tiny.safetensors. Exit code 77: transformers or torch is not there.
"""
import sys

try:
    import safetensors.torch
    import torch
    import transformers
except ImportError as error:
    print(error)
    sys.exit(77)

golden = safetensors.torch.load_file(sys.argv[2])
model, report = transformers.AutoModelForCausalLM.from_pretrained(
    sys.argv[1], dtype=torch.float32, output_loading_info=True)
assert type(model).__name__ == "OlmoForCausalLM", type(model)
for kind, keys in report.items():
    assert not keys, f"{kind}: {keys}"
with torch.no_grad():
    logits = model(golden["tokens"][:1].long()).logits[0, ::32]  # what the file holds
difference = (logits - golden["logits"]).abs().max().item()
print(f"largest difference of a logit: {difference}")
sys.exit(0 if difference < 1e-4 else 1)
