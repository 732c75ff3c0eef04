"""Bundles for the chaos test: valid ones with different answers, and some that the server must refuse."""

import array
import json
import pathlib
import shutil
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Benchmarks"))
from make_bundle import gpt2, llama, sasrec, write_config, write_weights

# The valid ones are versions of one model. "1" and "2" have the demo's architecture, the others random weights.
VALID = ["1", "2", "llama", "gpt2", "sasrec"]
INVALID = ["short", "no-config", "other-shape", "no-catalogue"]


def make_bundles(demo, folder):
    """Paths by name."""
    paths = {name: folder / f"bundle-{name}" for name in VALID + INVALID}
    for path in paths.values():
        shutil.copytree(demo, path)
    name = json.loads((demo / "config.json").read_text())["name"]
    items = len((demo / "catalogue.jsonl").read_text().splitlines())
    shapes = {
        "llama": llama(64, 2, 4, 172, 64, items),
        "gpt2": gpt2(64, 2, 4, 256, 64, items),
        "sasrec": sasrec(64, 2, 1, 64, 64, items),
    }
    for version, shape in shapes.items():
        write_config(paths[version], shape, name, version)
        write_weights(paths[version], shape)
    edit_config(paths["2"], lambda config: config.update(version="2"))
    change_weights(paths["2"] / "model.safetensors")
    with open(paths["short"] / "model.safetensors", "r+b") as file:
        file.truncate(file.seek(0, 2) // 2)
    (paths["no-config"] / "config.json").write_text("{")
    edit_config(paths["other-shape"], lambda config: config["model"].update(width=64))
    (paths["no-catalogue"] / "catalogue.jsonl").unlink()
    return {name: str(path) for name, path in paths.items()}


def edit_config(bundle, change):
    path = bundle / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def change_weights(path):
    """Negates every fourth number of every tensor: the scores change but stay finite."""
    data = bytearray(path.read_bytes())
    start = 8 + struct.unpack("<Q", data[:8])[0]
    numbers = array.array("f", bytes(data[start:]))
    for index in range(0, len(numbers), 4):
        numbers[index] = -numbers[index]
    data[start:] = numbers.tobytes()
    path.write_bytes(data)
