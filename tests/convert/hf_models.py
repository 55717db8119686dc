"""Models that transformers makes, for import, and what it says of those that were exported.

hf_models.py make FOLDER: saves randomly initialized models as FOLDER/NAME, and prints the names.
hf_models.py compare FOLDER COPIES: compares FOLDER/NAME with COPIES/NAME: every tensor with its bytes and type, and
    every key of config.json; copies have the names that transformers 4 reads besides.
Exit code 77: transformers or torch is not there.
"""
import json
import pathlib
import sys

try:
    import safetensors
    import torch
    import transformers
except ModuleNotFoundError as error:
    print(error)
    sys.exit(77)

TINY = dict(vocab_size=96, hidden_size=48, intermediate_size=40, num_hidden_layers=3, num_attention_heads=6,
            max_position_embeddings=64, eos_token_id=95, pad_token_id=1)
# Since version 5 transformers has the base of the rotary frequencies in an object.
ROPE = (dict(rope_theta=500000.0) if int(transformers.__version__.split(".")[0]) < 5
        else dict(rope_parameters={"rope_type": "default", "rope_theta": 500000.0}))
MODELS = {
    "olmo1": (transformers.OlmoConfig(**TINY, clip_qkv=8.0), {}),
    "olmo1-tied-bfloat16": (transformers.OlmoConfig(**TINY, tie_word_embeddings=True, num_key_value_heads=2),
                            dict(dtype=torch.bfloat16)),
    "olmo2": (transformers.Olmo2Config(**TINY, num_key_value_heads=2, rms_norm_eps=1e-6, **ROPE), {}),
    "olmo2-one-kv-head-tied": (transformers.Olmo2Config(**TINY, num_key_value_heads=1, tie_word_embeddings=True), {}),
    "olmo2-bfloat16-sharded": (transformers.Olmo2Config(**TINY), dict(dtype=torch.bfloat16, max_shard_size="20KB")),
    "olmo2-float16": (transformers.Olmo2Config(**TINY), dict(dtype=torch.float16)),
    "olmo2-sharded": (transformers.Olmo2Config(**TINY, num_key_value_heads=3), dict(max_shard_size="30KB")),
}


def make(folder):
    for number, (name, (config, options)) in enumerate(MODELS.items()):
        options = dict(options)
        torch.manual_seed(number)
        model = transformers.AutoModelForCausalLM.from_config(config).to(options.pop("dtype", torch.float32))
        with torch.no_grad():
            for parameter in model.parameters():  # norms are ones by default
                parameter.add_(torch.randn_like(parameter) / 8)
        model.save_pretrained(f"{folder}/{name}", **options)
    print(" ".join(MODELS))


def tensors(folder):
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        with safetensors.safe_open(path, "pt") as file:
            for name in file.keys():
                assert name not in found, name
                found[name] = file.get_tensor(name)
    return found


def compare(folder, copies):
    for name in MODELS:
        compare_one(f"{folder}/{name}", f"{copies}/{name}")


def compare_one(original, copy):
    there, here = tensors(original), tensors(copy)
    assert sorted(there) == sorted(here), (sorted(there), sorted(here))
    for name, tensor in there.items():
        assert here[name].dtype == tensor.dtype and torch.equal(here[name], tensor), name
    config, ours = (json.loads((pathlib.Path(folder) / "config.json").read_text()) for folder in (original, copy))
    config.pop("transformers_version")
    # Before its version 5 transformers leaves the one out and writes the other, where both are null.
    for values, name in ((ours, "bos_token_id"), (config, "bos_token_id"), (config, "rope_scaling")):
        assert values.pop(name, None) is None, (name, values)
    # transformers before and since its version 5 name these two differently; ours has both names.
    assert set(ours) - set(config) <= {"torch_dtype", "dtype", "rope_theta", "rope_parameters"}, (config, ours)
    assert config == {name: ours[name] for name in config}, (config, ours)
    generation = json.loads((pathlib.Path(copy) / "generation_config.json").read_text())
    original_generation = json.loads((pathlib.Path(original) / "generation_config.json").read_text())
    for name, value in generation.items():
        assert original_generation[name] == value, name
    transformers.GenerationConfig.from_pretrained(copy)


globals()[sys.argv[1]](*sys.argv[2:])
