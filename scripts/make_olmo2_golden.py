#!/usr/bin/env python3
"""Makes the golden results of a tiny OLMo 2 with PyTorch and transformers' Olmo2ForCausalLM.

    scripts/make_olmo2_golden.py tests/golden

writes tests/golden/olmo2_tiny.safetensors: the weights under OLMo's own names, four sequences of 128 tokens, and, computed
in float32 on the CPU, the loss (mean over the 127 predicted positions of each), every 32nd position's logits of sequence 0
and the gradient of every parameter, of matrices every 8th row; and tests/golden/hf_olmo2_tiny, the same model as
transformers saves it, in bfloat16. The weights are bfloat16 numbers, so both files hold the same model.

The model has two layers, d_model 128, four heads of 32 with two key and value heads, an inner width of 128, a vocabulary of
500 padded to 512, a head of its own and rotary positions of base 500000. Its weights are larger than initialization makes
them and its norms' are not ones, so that every part of the model shows in the results.
"""

import sys

import safetensors.torch
import torch
import transformers

ROWS = 8
POSITIONS = 32
SEQUENCES, LENGTH = 4, 128


def make_model():
    config = transformers.Olmo2Config(
        vocab_size=512, hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, pad_token_id=1, eos_token_id=499,
        rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        attn_implementation="eager", use_cache=False)
    torch.manual_seed(2)
    model = transformers.Olmo2ForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.normal_(1.0, 0.25)
            else:
                parameter.normal_(0.0, 0.5 if "embed" in name else 0.1)
            parameter.copy_(parameter.bfloat16())
    return model.float()


def native(layers, get):
    """The tensors of a state dict, or what `get` gives for its names, under OLMo's names."""
    tensors = {"transformer.wte.weight": get("model.embed_tokens.weight"),
               "transformer.ln_f.weight": get("model.norm.weight"),
               "transformer.ff_out.weight": get("lm_head.weight")}
    for i in range(layers):
        ours, theirs = f"transformer.blocks.{i}", f"model.layers.{i}"
        together = {"att_proj": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
                    "ff_proj": ["mlp.up_proj", "mlp.gate_proj"],
                    "attn_out": ["self_attn.o_proj"], "ff_out": ["mlp.down_proj"],
                    "q_norm": ["self_attn.q_norm"], "k_norm": ["self_attn.k_norm"],
                    "attn_norm": ["post_attention_layernorm"], "ff_norm": ["post_feedforward_layernorm"]}
        for name, parts in together.items():
            tensors[f"{ours}.{name}.weight"] = torch.cat([get(f"{theirs}.{part}.weight") for part in parts])
    return tensors


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    model = make_model()
    tokens = torch.randint(0, 500, (SEQUENCES, LENGTH))
    output = model(tokens, labels=tokens)
    output.loss.backward()
    layers = model.config.num_hidden_layers
    parameters = dict(model.named_parameters())
    golden = native(layers, lambda name: parameters[name].detach())
    for name, gradient in native(layers, lambda name: parameters[name].grad).items():
        golden["grad." + name] = gradient[::ROWS] if gradient.dim() == 2 else gradient
    golden["tokens"] = tokens.int()
    golden["loss"] = output.loss.detach().reshape(1)
    golden["logits"] = output.logits.detach()[0, ::POSITIONS]
    source = f"Olmo2ForCausalLM of transformers {transformers.__version__}, PyTorch {torch.__version__}, float32, CPU"
    safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in golden.items()},
                                f"{sys.argv[1]}/olmo2_tiny.safetensors", metadata={"source": source})
    model.bfloat16().save_pretrained(f"{sys.argv[1]}/hf_olmo2_tiny")


if __name__ == "__main__":
    main()
