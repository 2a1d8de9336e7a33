"""Runs the weights of a model in the peer's own architecture: peers.py FOLDER ARCH SIZES.

Reads FOLDER/ARCH.onnx and FOLDER/input.npy, writes the float32 numbers FOLDER/output.bin. Weights
must have the names and shapes of the peer's; prints "missing" where the peer is not installed.
"""

import json

import sys

import numpy as np
import onnx
import torch
import torchvision
from onnx import numpy_helper


def load(module, weights, rename=lambda name: name, transpose=lambda name: False):
    state = {}
    for name, own in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        value = weights.pop(rename(name))
        state[name] = torch.tensor(value.T.copy() if transpose(name) else value)
        assert state[name].shape == own.shape, (name, state[name].shape, own.shape)
    missing = module.load_state_dict(state, strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in missing), missing
    assert not weights, list(weights)
    return module.eval()


def torchvision_vit(weights, layers, size):
    heads = size["heads"]
    for i in range(layers):
        scope = f"encoder.layers.encoder_layer_{i}.self_attention"
        for part in ("weight", "bias"):
            rows = [weights.pop(f"{scope}.{x}_proj.{part}").T for x in "qkv"]
            weights[f"{scope}.in_proj_{part}"] = np.concatenate(rows)
    module = torchvision.models.VisionTransformer(
        image_size=size["image"],
        patch_size=size["patch"],
        num_layers=layers,
        num_heads=heads,
        hidden_dim=size["hidden"],
        mlp_dim=size["mlp"],
        num_classes=size["classes"],
    )
    linear = ("out_proj.weight", "mlp.0.weight", "mlp.3.weight")
    return load(module, weights, transpose=lambda name: name.endswith(linear))


class Lstm(torch.nn.Module):
    def __init__(self, inputs, hidden, layers, classes):
        super().__init__()
        self.lstm = torch.nn.LSTM(inputs, hidden, layers, batch_first=True, bidirectional=True)
        self.classifier = torch.nn.Linear(2 * hidden, classes)

    def forward(self, x):
        _, (h, _) = self.lstm(x)
        return self.classifier(torch.cat([h[-2], h[-1]], dim=-1))


def lstm(weights):
    """ONNX orders gates i, o, f, c; PyTorch i, f, c, o."""
    renamed = {name: weights.pop(name) for name in list(weights) if name.startswith("classifier")}
    hidden = weights["lstm.0.weight_hh"].shape[-1]
    order = [0, 2, 3, 1]

    def gates(rows):
        return np.concatenate([rows[g * hidden : (g + 1) * hidden] for g in order])

    layers = len(weights) // 3
    for i in range(layers):
        bias = weights[f"lstm.{i}.bias"]
        for direction, suffix in enumerate(["", "_reverse"]):
            for part in ("weight_ih", "weight_hh"):
                renamed[f"lstm.{part}_l{i}{suffix}"] = gates(weights[f"lstm.{i}.{part}"][direction])
            renamed[f"lstm.bias_ih_l{i}{suffix}"] = gates(bias[direction][: 4 * hidden])
            renamed[f"lstm.bias_hh_l{i}{suffix}"] = gates(bias[direction][4 * hidden :])
    inputs = weights["lstm.0.weight_ih"].shape[-1]
    return load(Lstm(inputs, hidden, layers, renamed["classifier.bias"].size), renamed)


class Translator(torch.nn.Module):
    def __init__(self, vocab, hidden, heads, layers, seq):
        super().__init__()
        self.shared = torch.nn.Embedding(vocab, hidden)
        self.places = torch.nn.ModuleList([torch.nn.Embedding(seq, hidden) for _ in range(2)])
        self.body = torch.nn.Transformer(
            hidden, heads, layers, layers, 4 * hidden, norm_first=True, batch_first=True
        )

    def forward(self, ids):
        before = torch.zeros_like(ids)
        steps = torch.arange(ids.shape[1])
        x, y = (self.shared(t) + p(steps) for t, p in zip((ids, before), self.places))
        causal = torch.nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        return self.body(x, y, tgt_mask=causal) @ self.shared.weight.T


def transformer(weights, size):
    renamed = {"shared.weight": weights.pop("shared.weight")}
    norms = {
        "encoder": {"self_attn_layer_norm": "norm1", "final_layer_norm": "norm2"},
        "decoder": {
            "self_attn_layer_norm": "norm1",
            "encoder_attn_layer_norm": "norm2",
            "final_layer_norm": "norm3",
        },
    }
    for i, side in enumerate(("encoder", "decoder")):
        renamed[f"places.{i}.weight"] = weights.pop(f"{side}.embed_positions.weight")
        for part in ("weight", "bias"):
            renamed[f"body.{side}.norm.{part}"] = weights.pop(f"{side}.layer_norm.{part}")
        for layer in range(size["layers"]):
            ours, theirs = f"{side}.layers.{layer}", f"body.{side}.layers.{layer}"
            attentions = {"self_attn": "self_attn"}
            if side == "decoder":
                attentions["encoder_attn"] = "multihead_attn"
            for part in ("weight", "bias"):
                for name, peer_name in norms[side].items():
                    renamed[f"{theirs}.{peer_name}.{part}"] = weights.pop(f"{ours}.{name}.{part}")
                for name, peer_name in {"fc1": "linear1", "fc2": "linear2"}.items():
                    renamed[f"{theirs}.{peer_name}.{part}"] = weights.pop(f"{ours}.{name}.{part}").T
                for name, peer_name in attentions.items():
                    rows = [weights.pop(f"{ours}.{name}.{x}_proj.{part}").T for x in "qkv"]
                    renamed[f"{theirs}.{peer_name}.in_proj_{part}"] = np.concatenate(rows)
                    out = weights.pop(f"{ours}.{name}.out_proj.{part}").T
                    renamed[f"{theirs}.{peer_name}.out_proj.{part}"] = out
    assert not weights, list(weights)
    sizes = (size["vocab"], size["hidden"], size["heads"], size["layers"], size["seq"])
    return load(Translator(*sizes), {name: np.ascontiguousarray(w) for name, w in renamed.items()})


def hugging_face(arch, weights, size):
    import transformers

    if arch == "gpt":
        config = transformers.GPT2Config(
            vocab_size=size["vocab"],
            n_positions=size["seq"],
            n_embd=size["hidden"],
            n_layer=size["layers"],
            n_head=size["heads"],
        )
        weights["lm_head.weight"] = weights["transformer.wte.weight"]
        module = load(transformers.GPT2LMHeadModel(config), weights)
        return lambda ids: module(ids).logits
    config = transformers.BertConfig(
        vocab_size=size["vocab"],
        max_position_embeddings=size["seq"],
        hidden_size=size["hidden"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        intermediate_size=4 * size["hidden"],
    )

    def transposed(name):
        return name.startswith("encoder") and ("dense" in name or "self" in name) and name.endswith("weight")

    module = load(transformers.BertModel(config), weights, transpose=transposed)
    return lambda ids: module(ids).pooler_output


def peer(arch, weights, size):
    if arch == "vit":
        return torchvision_vit(weights, size["layers"], size)
    if arch == "lstm":
        return lstm(weights)
    if arch == "mobilenetv2":
        return load(torchvision.models.mobilenet_v2(), weights)
    if arch == "transformer":
        return transformer(weights, size)
    if arch in ("gpt", "bert"):
        return hugging_face(arch, weights, size)
    return load(getattr(torchvision.models, arch)(), weights)


def main(folder, arch, size):
    model = onnx.load(f"{folder}/{arch}.onnx")
    weights = {
        t.name: numpy_helper.to_array(t)
        for t in model.graph.initializer
        if not t.name.startswith("constants.")
    }
    try:
        module = peer(arch, weights, size)
    except ImportError:
        print("missing")
        return
    with torch.no_grad():
        result = module(torch.tensor(np.load(f"{folder}/input.npy")))
    result.numpy().astype("<f4").tofile(f"{folder}/output.bin")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
