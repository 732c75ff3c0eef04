"""Bundles for the chaos test: two valid ones with different answers, and some that the server must refuse."""

import array
import json
import shutil
import struct


def make_bundles(demo, folder):
    """Paths by name: "1" and "2" are valid; the others are not."""
    paths = {name: folder / f"bundle-{name}" for name in ("1", "2", "short", "no-config", "other-shape", "no-catalogue")}
    for path in paths.values():
        shutil.copytree(demo, path)
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
    """Negates every fourth number of every tensor: other scores, still finite."""
    data = bytearray(path.read_bytes())
    start = 8 + struct.unpack("<Q", data[:8])[0]
    numbers = array.array("f", bytes(data[start:]))
    for index in range(0, len(numbers), 4):
        numbers[index] = -numbers[index]
    data[start:] = numbers.tobytes()
    path.write_bytes(data)
