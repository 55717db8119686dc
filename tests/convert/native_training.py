"""A run of OLMo's as its unsharded checkpoint: native_training.py STEP_FOLDER OUT FORM.

Writes OUT/model.pt, optim.pt and train.pt from a checkpoint with float32 moments (model.safetensors, optim.safetensors,
train.json). The states of the optimizer have names (FORM fsdp; plain with steps that are no tensors) or, as under DDP, numbers (FORM
ddp); some are spoiled: fp8, unequal, missing, stepless, shape; lionw has the states of another optimizer. With "-safetensors"
behind FORM it writes them as safetensors instead. Exit code 77: torch, numpy or safetensors is not there.
"""
import base64
import json
import pathlib
import pickle
import random
import sys

try:
    import numpy
    import safetensors.torch
    import torch
except ModuleNotFoundError as error:
    print(error)
    sys.exit(77)

source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
form, _, kind = sys.argv[3].partition("-")
weights = safetensors.torch.load_file(source / "model.safetensors")
moments = safetensors.torch.load_file(source / "optim.safetensors")
trainer = json.loads((source / "train.json").read_text())
with open(source / "model.safetensors", "rb") as file:  # names in the order of the parameters
    header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
names = [name for name in header if name != "__metadata__"]
norms = dict(zip(names, moments["grad_norm_exp_avg"]))

# What torch.optim.AdamW has after as many updates; it must not contradict what is written.
reference = torch.optim.AdamW([torch.nn.Parameter(tensor.clone()) for tensor in weights.values()])
for parameter in reference.param_groups[0]["params"]:
    parameter.grad = torch.ones_like(parameter)
reference.step()
keys = set(next(iter(reference.state.values())))
assert keys == {"step", "exp_avg", "exp_avg_sq"}, keys

updates = torch.tensor(float(trainer["extra"]["updates"]))
state = {name: {"step": updates.clone(), "exp_avg": moments[f"{name}.exp_avg"],
                "exp_avg_sq": moments[f"{name}.exp_avg_sq"], "grad_norm_exp_avg": norms[name]} for name in names}
decayed = sorted(name for name in names if "wte" not in name)
groups = [{"params": group, "param_names": group, "lr": 1e-3, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": decay,
           "initial_lr": 1e-3, "sharded": True, "max_grad_norm": 1.0, "max_grad_norm_ratio": None, "foreach": None}
          for group, decay in ((decayed, 0.1), (sorted(set(names) - set(decayed)), 0.0))]
first = names[0]
if form == "plain":  # steps that are no tensors
    for entry in state.values():
        entry["step"] = int(entry["step"])
elif form == "ddp":
    number = {name: i for i, name in enumerate(name for group in groups for name in group["params"])}
    state = {number[name]: entry for name, entry in state.items()}
    for group in groups:
        group["params"] = [number[name] for name in group["params"]]
elif form == "fp8":
    state[first]["scale_exp_avg"] = torch.ones(3)
elif form == "unequal":
    state[first]["step"] += 1
elif form == "missing":
    del state[first]
elif form == "stepless":
    del state[first]["step"]
elif form == "lionw":  # as OLMo's LionW keeps it
    state = {name: {"exp_avg": entry["exp_avg"]} for name, entry in state.items()}
elif form == "shape":
    state[first]["exp_avg"] = state[first]["exp_avg"].flatten()
else:
    assert form == "fsdp", form


def flattened(values, path=()):
    """Nested dicts as OLMo flattens them: what is no tensor becomes the bytes of its pickle."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flattened(value, path + (key,))
        elif isinstance(value, torch.Tensor):
            yield (path + (key,), False), value
        else:
            yield (path + (key,), True), torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)


def save(values, name):
    if kind == "safetensors":
        encoded = {base64.urlsafe_b64encode(pickle.dumps(key)).decode("ascii"): value
                   for key, value in flattened(values)}
        safetensors.torch.save_file(encoded, out / f"{name}.safetensors")
    else:
        torch.save(values, out / f"{name}.pt")


out.mkdir(parents=True, exist_ok=True)
save(weights, "model")
save({"state": state, "param_groups": groups}, "optim")
save({
    "epoch": trainer["epoch"],
    "global_step": trainer["global_step"],
    "global_train_examples_seen_this_epoch": trainer["global_train_examples_seen_this_epoch"],
    "global_train_tokens_seen": trainer["global_train_tokens_seen"],
    "world_size": 8,
    "checkpoints": [pathlib.Path("/somewhere/step4"), pathlib.Path("relative")],
    "unsharded_checkpoints": [],
    "ephemeral_checkpoints": [],
    "rng": {"python": random.getstate(), "numpy": numpy.random.get_state(), "torch": torch.random.get_rng_state(),
            "cuda": None},
}, "train")
