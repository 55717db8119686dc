"""Compares the logits of a Hugging Face directory, as transformers computes them, with others.

Usage: hf_logits.py {DIRECTORY CLASS LOGITS.safetensors ROUNDING}..., where CLASS is OlmoForCausalLM or
Olmo2ForCausalLM, the file has "tokens" [sequences, length] and "logits" [rows, vocabulary], those of the first sequence
at equal distances (golden files, and what the tests write), and ROUNDING is how far logits may be apart over their root
mean square. Exit code 77: transformers or torch is not there.
"""
import sys

try:
    import safetensors.torch
    import torch
    import transformers
except ModuleNotFoundError as error:
    print(error)
    sys.exit(77)


def difference(directory, architecture, file):
    """The largest difference of a logit over the logits' root mean square."""
    expected = safetensors.torch.load_file(file)
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        directory, torch_dtype=torch.float32, output_loading_info=True)
    assert type(model).__name__ == architecture, type(model)
    for kind, keys in report.items():
        assert not keys, f"{kind}: {keys}"
    tokens = expected["tokens"][:1].long()
    with torch.no_grad():
        logits = model(tokens).logits[0, ::tokens.shape[1] // expected["logits"].shape[0]]
    return ((logits - expected["logits"]).abs().max() / expected["logits"].square().mean().sqrt()).item()


differences = [difference(*sys.argv[i:i + 3]) for i in range(1, len(sys.argv), 4)]
roundings = [float(rounding) for rounding in sys.argv[4::4]]
print(f"largest differences of a logit: {differences}; accepted: {roundings}")
sys.exit(0 if all(a <= b for a, b in zip(differences, roundings, strict=True)) else 1)
