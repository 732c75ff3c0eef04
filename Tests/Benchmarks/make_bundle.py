"""Writes an HSTU bundle of a published shape with random weights, for `genrec bench`; needs only Python.

Usage: python3 make_bundle.py SHAPE DIRECTORY

Shapes: ml-1m-large, ml-20m-large, kuairand; million-items, a small model over a catalogue larger than any cache; and four-gigabytes,
for the time of a start. Times do not depend on the weights, so one block of random numbers is repeated, scaled so that
activations have ordinary magnitudes.
"""

import array
import json
import pathlib
import random
import struct
import sys

# width, layers, heads, dqk, dv, window, items
SHAPES = {
    "ml-1m-large": (50, 8, 2, 25, 25, 200, 3_952),
    "ml-20m-large": (256, 16, 8, 32, 32, 200, 26_744),
    "kuairand": (512, 3, 4, 128, 128, 2_048, 7_583),
    "million-items": (64, 1, 1, 64, 64, 16, 1_000_000),
    "ten-million-items": (128, 1, 1, 64, 64, 16, 10_000_000),
    "four-gigabytes": (2_048, 48, 8, 256, 256, 200, 20_000),
}
OUTPUT_LENGTH, TIME_BUCKETS = 11, 128
BLOCK = 1_000_003


def tensors(width, layers, heads, dqk, dv, window, items):
    """Name, shape and scale of every tensor, as HSTUConfiguration.swift lists them."""
    padded = window + OUTPUT_LENGTH
    yield "item_embedding.weight", (items + 1, width), 0.05
    yield "position_embedding.weight", (padded, width), 0.05
    for layer in range(layers):
        prefix = f"layers.{layer}."
        yield prefix + "uvqk.weight", (width, 2 * heads * (dqk + dv)), 0.05
        yield prefix + "relative_bias.time", (TIME_BUCKETS + 1,), 0.05
        yield prefix + "relative_bias.position", (2 * padded - 1,), 0.05
        yield prefix + "output.weight", (width, heads * dv), 0.05
        yield prefix + "output.bias", (width,), 0.05


def count(shape):
    product = 1
    for extent in shape:
        product *= extent
    return product


def main():
    name, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    width, layers, heads, dqk, dv, window, items = SHAPES[name]
    directory.mkdir(parents=True)
    configuration = {
        "format_version": 1,
        "name": name,
        "version": "random",
        "architecture": "hstu",
        "dtype": "float32",
        "model": {
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
        },
        "provenance": {"source": "meta", "file": "make_bundle.py", "sha256": "0" * 64},
    }
    (directory / "config.json").write_text(json.dumps(configuration, indent=2) + "\n")
    with open(directory / "catalogue.jsonl", "w") as catalogue:
        for index in range(1, items + 1):
            catalogue.write(json.dumps({"index": index, "id": str(index)}) + "\n")

    wanted = list(tensors(width, layers, heads, dqk, dv, window, items))
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


if __name__ == "__main__":
    main()
