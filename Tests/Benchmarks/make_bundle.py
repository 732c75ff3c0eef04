"""Writes a bundle of a published shape with random weights, for `genrec bench`; needs only Python.

Usage: python3 make_bundle.py SHAPE DIRECTORY

Shapes: ml-1m-large, ml-20m-large, kuairand of HSTU; llama-8x512, gpt2-8x512, sasrec-2x64, sasrec-4x256; million-items and
ten-million-items, small models over a catalogue larger than any cache; and four-gigabytes, to time a start. Times do not
depend on the weights, so one block of random numbers is repeated, scaled to give activations of ordinary magnitude.
"""

import array
import json
import pathlib
import random
import struct
import sys

OUTPUT_LENGTH, TIME_BUCKETS = 11, 128
BLOCK = 1_000_003


def hstu(width, layers, heads, dqk, dv, window, items):
    model = {
        "width": width,
        "layers": layers,
        "heads": heads,
        "attention_dimension": dqk,
        "linear_dimension": dv,
        "max_sequence_length": window,
        "max_output_length": OUTPUT_LENGTH,
        "concat_ua": False,
        "relative_attention_bias": "position_and_time",
        "time_buckets": TIME_BUCKETS,
        "output_normalization": "l2",
        "item_l2_norm": True,
        "item_rows": items + 1,
        "layer_norm_epsilon": 1e-06,
        "l2_epsilon": 1e-06,
    }
    return {"architecture": "hstu", "source": "meta", "model": model}


def transformer(architecture, source, width, layers, heads, feed_forward, window, items, **others):
    model = {
        "width": width,
        "layers": layers,
        "heads": heads,
        "feed_forward": feed_forward,
        "max_sequence_length": window,
        "item_rows": items + 1,
        **others,
    }
    return {"architecture": architecture, "source": source, "model": model}


def llama(width, layers, heads, feed_forward, window, items):
    others = {"key_value_heads": heads, "head_dimension": width // heads, "rope_theta": 10_000, "rope_pairing": "halves"}
    others |= {"rope_scaling": {"type": "default"}}
    others |= {"attention_bias": False, "mlp_bias": False, "attends_padding": False, "tied": True}
    others |= {"embedding_scale": "one", "score_normalization": "none", "rms_norm_epsilon": 1e-6, "l2_epsilon": 1e-6}
    return transformer("llama", "huggingface", width, layers, heads, feed_forward, window, items, **others)


def gpt2(width, layers, heads, feed_forward, window, items):
    others = {"activation": "gelu_new", "scale_attention": True, "scale_attention_by_layer": False, "tied": True}
    others |= {"position_rows": window, "embedding_scale": "one", "score_normalization": "none"}
    others |= {"layer_norm_epsilon": 1e-5, "l2_epsilon": 1e-6}
    return transformer("gpt", "huggingface", width, layers, heads, feed_forward, window, items, **others)


def sasrec(width, layers, heads, feed_forward, window, items):
    others = {"activation": "relu", "layer_order": "original", "affine_norms": True, "positions": "from_newest"}
    others |= {"max_output_length": 0, "output_normalization": "affine_layer_norm", "item_l2_norm": False}
    others |= {"layer_norm_epsilon": 1e-8, "output_epsilon": 1e-8, "l2_epsilon": 1e-6}
    return transformer("sasrec", "sasrec.pytorch", width, layers, heads, feed_forward, window, items, **others)


SHAPES = {
    "ml-1m-large": hstu(50, 8, 2, 25, 25, 200, 3_952),
    "ml-20m-large": hstu(256, 16, 8, 32, 32, 200, 26_744),
    "kuairand": hstu(512, 3, 4, 128, 128, 2_048, 7_583),
    "llama-8x512": llama(512, 8, 8, 1_376, 200, 20_000),
    "gpt2-8x512": gpt2(512, 8, 8, 2_048, 200, 20_000),
    "sasrec-2x64": sasrec(64, 2, 1, 64, 200, 20_000),
    "sasrec-4x256": sasrec(256, 4, 4, 256, 200, 20_000),
    "million-items": hstu(64, 1, 1, 64, 64, 16, 1_000_000),
    "ten-million-items": hstu(128, 1, 1, 64, 64, 16, 10_000_000),
    "four-gigabytes": hstu(2_048, 48, 8, 256, 256, 200, 20_000),
}


def hstu_tensors(model):
    """Name, shape and scale of every tensor, as HSTUConfiguration.swift lists them."""
    width, heads = model["width"], model["heads"]
    dqk, dv = model["attention_dimension"], model["linear_dimension"]
    padded = model["max_sequence_length"] + OUTPUT_LENGTH
    yield "item_embedding.weight", (model["item_rows"], width), 0.05
    yield "position_embedding.weight", (padded, width), 0.05
    for layer in range(model["layers"]):
        prefix = f"layers.{layer}."
        yield prefix + "uvqk.weight", (width, 2 * heads * (dqk + dv)), 0.05
        yield prefix + "relative_bias.time", (TIME_BUCKETS + 1,), 0.05
        yield prefix + "relative_bias.position", (2 * padded - 1,), 0.05
        yield prefix + "output.weight", (width, heads * dv), 0.05
        yield prefix + "output.bias", (width,), 0.05


def transformer_tensors(model, architecture):
    """Name, shape and scale of every tensor, as TransformerTensors.swift lists them."""
    width, inner = model["width"], model["feed_forward"]
    gated = architecture == "llama"

    def norm(name):
        yield name + ".weight", (width,), 1
        if not gated:
            yield name + ".bias", (width,), 0.05

    def projection(name, inputs, outputs):
        yield name + ".weight", (inputs, outputs) if architecture == "gpt" else (outputs, inputs), 0.05
        if not gated:
            yield name + ".bias", (outputs,), 0.05

    yield "item_embedding.weight", (model["item_rows"], width), 0.05
    if not gated:
        rows = model.get("position_rows", model["max_sequence_length"] + 1)
        yield "position_embedding.weight", (rows, width), 0.05
    for layer in range(model["layers"]):
        prefix = f"layers.{layer}."
        yield from norm(prefix + "attention_norm")
        yield from projection(prefix + "attention.qkv", width, 3 * width)
        yield from projection(prefix + "attention.output", width, width)
        yield from norm(prefix + "feed_forward_norm")
        yield from projection(
            prefix + ("feed_forward.gate_up" if gated else "feed_forward.hidden"), width, inner * (2 if gated else 1)
        )
        yield from projection(prefix + ("feed_forward.down" if gated else "feed_forward.output"), inner, width)
    yield from norm("output_norm")


def count(shape):
    product = 1
    for extent in shape:
        product *= extent
    return product


def write_config(directory, shape, name, version):
    configuration = {
        "format_version": 1,
        "name": name,
        "version": version,
        "architecture": shape["architecture"],
        "dtype": "float32",
        "model": shape["model"],
        "provenance": {"source": shape["source"], "file": "make_bundle.py", "sha256": "0" * 64},
    }
    (directory / "config.json").write_text(json.dumps(configuration, indent=2) + "\n")


def write_weights(directory, shape):
    model, architecture = shape["model"], shape["architecture"]
    wanted = list(hstu_tensors(model) if architecture == "hstu" else transformer_tensors(model, architecture))
    header, offset = {}, 0
    for tensor, shape, _ in wanted:
        end = offset + 4 * count(shape)
        header[tensor] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    source = random.Random(1)
    block = [source.uniform(-1, 1) for _ in range(BLOCK)]
    with open(directory / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape, scale in wanted:
            scaled = array.array("f", (scale * x for x in block))
            if sys.byteorder == "big":
                scaled.byteswap()
            left = count(shape)
            while left > 0:
                scaled[: min(left, BLOCK)].tofile(file)
                left -= BLOCK


def main():
    name, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    shape = SHAPES[name]
    directory.mkdir(parents=True)
    write_config(directory, shape, name, "random")
    with open(directory / "catalogue.jsonl", "w") as catalogue:
        for index in range(1, shape["model"]["item_rows"]):
            catalogue.write(json.dumps({"index": index, "id": str(index)}) + "\n")
    write_weights(directory, shape)


if __name__ == "__main__":
    main()
