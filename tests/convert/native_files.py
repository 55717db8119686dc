"""Unsharded checkpoints of OLMo, made and read by torch.

native_files.py make MODEL.safetensors FOLDER FORM...: writes FOLDER/FORM/model.pt (or model.safetensors for the form
    "safetensors") with the tensors of MODEL.safetensors, for each of the forms below.
native_files.py compare MODEL.safetensors DTYPE NAMES model.pt: loads model.pt in every way that torch has, and compares
    it with MODEL.safetensors cast to DTYPE; NAMES is olmo or coat.
Exit code 77: torch or safetensors is not there.
"""
import base64
import collections
import inspect
import os
import pickle
import re
import sys
import zipfile

try:
    import safetensors.torch
    import torch
except ModuleNotFoundError as error:
    print(error)
    sys.exit(77)


def coat_name(name):
    name = re.sub(r"\.(att_proj)\.", r".BeforeAttention.\1.", name)
    name = re.sub(r"\.(attn_out)\.", r".AfterAttention.\1.", name)
    return re.sub(r"(\.\d+)\.(ff_proj|ff_out)\.", r"\1.MLPResidual.\2.", name)


def group_name(name):  # in groups of two blocks
    return re.sub(r"\.blocks\.(\d+)\.", lambda m: f".block_groups.{int(m[1]) // 2}.{int(m[1]) % 2}.", name)


def fsdp_name(name):
    return "_fsdp_wrapped_module." + re.sub(r"(\.blocks\.\d+)\.", r"\1._fsdp_wrapped_module.", name)


def encoded(name):
    return base64.urlsafe_b64encode(pickle.dumps(((name,), False))).decode("ascii")


def in_one_storage(state):
    flat = torch.cat([torch.zeros(7)] + [tensor.flatten() for tensor in state.values()])
    views, begin = {}, 7
    for name, tensor in state.items():
        views[name] = flat[begin:begin + tensor.numel()].view(tensor.shape)
        begin += tensor.numel()
    return views


def module_state(state):  # of a module, so that the dict has attributes
    root = torch.nn.Module()
    for name, tensor in state.items():
        module = root
        for part in name.split(".")[:-1]:
            if part not in dict(module.named_children()):
                module.add_module(part, torch.nn.Module())
            module = module.get_submodule(part)
        module.register_parameter(name.split(".")[-1], torch.nn.Parameter(tensor))
    return root


def make(source, folder, *forms):
    for form in forms:
        os.makedirs(f"{folder}/{form}")
        make_form(form, source, f"{folder}/{form}/model.pt")
        check_sums(True)


def check_sums(wanted):
    """Old versions of torch always write them."""
    if hasattr(torch.serialization, "set_crc32_options"):
        torch.serialization.set_crc32_options(wanted)


def make_form(form, source, out):
    state = safetensors.torch.load_file(source)
    options = {}
    if form == "module":
        state = module_state(state).state_dict()
    elif form == "parameters":
        state = dict(module_state(state).named_parameters())
    elif form in ("bfloat16", "float16", "float64"):
        state = {name: tensor.to(getattr(torch, form)) for name, tensor in state.items()}
    elif form == "shared":
        state = in_one_storage(state)
    elif form == "protocol4":
        options["pickle_protocol"] = 4
    elif form == "unchecked":
        check_sums(False)
    elif form == "old":
        options["_use_new_zipfile_serialization"] = False
    elif form in ("coat", "group", "fsdp"):
        state = collections.OrderedDict((globals()[form + "_name"](name), tensor) for name, tensor in state.items())
    elif form == "transposed":
        name = "transformer.blocks.0.attn_out.weight"
        state[name] = state[name].T
    elif form == "expanded":
        name = "transformer.blocks.0.attn_out.weight"
        state[name] = state[name][:1].expand(state[name].shape)
    elif form == "nested":
        state = {"model": state}
    elif form == "safetensors":
        safetensors.torch.save_file({encoded(name): tensor for name, tensor in state.items()},
                                   out.replace(".pt", ".safetensors"))
        return
    elif form == "system":
        class Evil:
            def __reduce__(self):
                return os.system, ("touch " + out + ".executed",)
        state["transformer.wte.weight"] = Evil()
    else:
        assert form == "plain", form
    torch.save(state, out, **options)


def compare(source, dtype, names, file):
    expected = {coat_name(name) if names == "coat" else name: tensor.to(getattr(torch, dtype))
                for name, tensor in safetensors.torch.load_file(source).items()}
    ways = [{}, {"weights_only": True}, {"weights_only": False}]
    if "mmap" in inspect.signature(torch.load).parameters:  # since PyTorch 2.1
        ways.append({"mmap": True, "weights_only": True})
    for options in ways:
        state = torch.load(file, **options)
        assert isinstance(state, collections.OrderedDict), type(state)
        assert list(sorted(state)) == list(sorted(expected)), list(state)
        for name, tensor in state.items():
            assert tensor.dtype == expected[name].dtype and tensor.shape == expected[name].shape, name
            assert tensor.is_contiguous() and torch.equal(tensor, expected[name]), name
    archive = zipfile.ZipFile(file)
    assert archive.testzip() is None
    with open(file, "rb") as raw:
        for entry in archive.infolist():
            raw.seek(entry.header_offset + 26)
            begin = entry.header_offset + 30 + sum(int.from_bytes(raw.read(2), "little") for _ in range(2))
            assert begin % 64 == 0, (entry.filename, begin)


globals()[sys.argv[1]](*sys.argv[2:])
