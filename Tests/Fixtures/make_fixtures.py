"""Makes what the import tests compare with; needs numpy, not torch.

  digests      SHA-256 of the float32 bytes of every tensor of the checkpoints in this folder (tensors.json), read by
               Python's own pickle and zipfile: a second reader, independent of ours.
  checkpoints  small checkpoints in every form that torch.save can write (torch-forms/): Python's pickler with stand-ins
               for the torch names writes the same opcodes that torch writes.

Usage: python3 make_fixtures.py
"""

import collections
import hashlib
import io
import json
import pathlib
import pickle
import sys
import types
import zipfile

import numpy as np

HERE = pathlib.Path(__file__).parent
TYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),
    "LongStorage": np.dtype("<i8"),
    "BoolStorage": np.dtype("?"),
}


# --- digests


def read_checkpoint(path):
    archive = zipfile.ZipFile(path)
    name = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
    prefix = name[: -len("data.pkl")]

    class Reader(pickle.Unpickler):
        def persistent_load(self, identifier):
            _, kind, key, _, count = identifier
            data = np.frombuffer(archive.read(prefix + "data/" + key), TYPES[kind])
            assert len(data) == count
            return data

        def find_class(self, module, name):
            if module == "torch":
                return name
            if name == "OrderedDict":
                return collections.OrderedDict
            assert (module, name) == ("torch._utils", "_rebuild_tensor_v2"), (module, name)
            return lambda data, offset, shape, strides, *_: np.lib.stride_tricks.as_strided(
                data[offset:], shape, [s * data.itemsize for s in strides]
            )

    return Reader(io.BytesIO(archive.read(name))).load()


def digests():
    for path in sorted(HERE.glob("hstu-*/checkpoint.pt")):
        state = read_checkpoint(path)["model_state_dict"]
        result = {}
        for name, tensor in state.items():
            if tensor.dtype == np.float32:
                content = np.ascontiguousarray(tensor)
                result[name.removeprefix("module.")] = {
                    "shape": list(content.shape),
                    "sha256": hashlib.sha256(content.tobytes()).hexdigest(),
                }
        (path.parent / "tensors.json").write_text(json.dumps(result, indent=1) + "\n")


# --- checkpoints


def stand_ins():
    """Modules that the pickler finds the torch names in."""
    torch = types.ModuleType("torch")
    utils = types.ModuleType("torch._utils")
    for name in TYPES:
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))
    for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
        function = types.FunctionType((lambda *a: None).__code__, {}, name)
        function.__module__ = "torch._utils"
        function.__qualname__ = name
        setattr(utils, name, function)
    torch._utils = utils
    sys.modules["torch"] = torch
    sys.modules["torch._utils"] = utils
    return torch


class Storage:
    def __init__(self, key, kind, data):
        self.key, self.kind, self.data = key, kind, data


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def __reduce__(self):
        arguments = (self.storage, self.offset, self.shape, self.strides, False, collections.OrderedDict())
        return (sys.modules["torch._utils"]._rebuild_tensor_v2, arguments)


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return (sys.modules["torch._utils"]._rebuild_parameter, (self.tensor, True, collections.OrderedDict()))


def bfloat16(values):
    """Values cut to bfloat16, as its bits."""
    return (values.astype("<f4").view("<u4") >> 16).astype("<u2")


def model(form, rng):
    """A tiny HSTU state dict (d 4, 1 block, 2 heads, dqk 1, dv 2, N 6, 7 rows) stored in the given form, and the
    float32 values that an import must give."""
    shapes = {
        "_embedding_module._item_emb.weight": (7, 4),
        "_input_features_preproc._pos_emb.weight": (6, 4),
        "_hstu._attention_layers.0._uvqk": (4, 12),
        "_hstu._attention_layers.0._rel_attn_bias._ts_w": (129,),
        "_hstu._attention_layers.0._rel_attn_bias._pos_w": (11,),
        "_hstu._attention_layers.0._o.weight": (4, 4),
        "_hstu._attention_layers.0._o.bias": (4,),
    }
    kind = {"float16": "HalfStorage", "bfloat16": "BFloat16Storage", "float64": "DoubleStorage"}.get(
        form, "FloatStorage"
    )
    storages, state, expected = [], collections.OrderedDict(), {}

    def store(kind, data):
        storages.append(Storage(str(len(storages)), kind, data))
        return storages[-1]

    shared, shared_offset = None, 3
    if form == "shared":
        count = shared_offset + sum(int(np.prod(s)) for s in shapes.values())
        shared = store(kind, rng.standard_normal(count).astype("<f4"))
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        packed = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
        if form == "shared":
            tensor = Tensor(shared, shared_offset, shape, packed)
            value = shared.data[shared_offset : shared_offset + count]
            shared_offset += count
        elif form == "transposed" and len(shape) == 2:
            data = rng.standard_normal(count).astype("<f4")
            tensor = Tensor(store(kind, data), 0, shape, (1, shape[0]))
            value = data.reshape(shape[::-1]).T
        elif form == "expanded" and len(shape) == 1:
            data = rng.standard_normal(2).astype("<f4")
            tensor = Tensor(store(kind, data), 1, shape, (0,))
            value = np.full(shape, data[1])
        elif form == "sliced" and len(shape) == 2:
            data = rng.standard_normal((2 * shape[0], 3 * shape[1])).astype("<f4")
            tensor = Tensor(store(kind, data.ravel()), 1, shape, (6 * shape[1], 3))
            value = data[::2, 1::3]
        else:
            value = rng.standard_normal(count)
            if form == "float16":
                # A subnormal among them.
                value[0] = 3e-7
                data = value.astype("<f2")
                value = data.astype("<f4")
            elif form == "bfloat16":
                data = bfloat16(value)
                value = (data.astype("<u4") << 16).view("<f4")
            elif form == "float64":
                data = value.astype("<f8")
            else:
                data = value.astype("<f4")
            tensor = Tensor(store(kind, data), 0, shape, packed)
        expected[name] = np.ascontiguousarray(value.reshape(shape).astype("<f4"))
        state[name] = Parameter(tensor) if form == "parameters" else tensor
    state["_attn_mask"] = Tensor(store("BoolStorage", np.triu(np.ones((6, 6), "?"), 1).ravel()), 0, (6, 6), (6, 1))
    if form == "parameters":
        # As state_dict() leaves it; pickled as attributes of the dictionary.
        state._metadata = collections.OrderedDict([("", {"version": 1})])
    return state, storages, expected


def write(path, root, storages, protocol, compression, streamed, zip64):
    torch = sys.modules["torch"]

    class Writer(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            return ("storage", getattr(torch, value.kind), value.key, "cpu", int(value.data.size))

    text = io.BytesIO()
    Writer(text, protocol).dump(root)
    entries = [("data.pkl", text.getvalue()), ("byteorder", b"little")]
    entries += [("data/" + s.key, s.data.tobytes()) for s in storages]
    entries += [("version", b"3\n")]

    class Stream(io.RawIOBase):
        """Cannot seek, so that zipfile has to write data descriptors."""

        def __init__(self, file):
            self.file = file

        def writable(self):
            return True

        def write(self, data):
            return self.file.write(data)

    with open(path, "wb") as file:
        with zipfile.ZipFile(Stream(file) if streamed else file, "w", compression) as archive:
            for name, data in entries:
                info = zipfile.ZipInfo("tiny/" + name)
                info.compress_type = compression
                with archive.open(info, "w", force_zip64=zip64) as entry:
                    entry.write(data)


def checkpoints():
    stand_ins()
    folder = HERE / "torch-forms"
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(7)
    digests = {}
    forms = [(form, 2) for form in "float16 bfloat16 float64 shared transposed expanded sliced parameters".split()]
    forms += [(f"protocol{p}", p) for p in (1, 2, 3, 4, 5)]
    forms += [(form, 2) for form in ("deflated", "streamed", "zip64", "streamed-zip64-deflated", "adamw", "bare")]
    for form, protocol in forms:
        state, storages, expected = model(form, rng)
        root = {"epoch": 3, "model_state_dict": state, "optimizer_state_dict": {"state": {}, "param_groups": []}}
        if form == "adamw":
            state_of = {}
            for index in range(2):
                moment = Storage(str(len(storages)), "FloatStorage", np.zeros(4, "<f4"))
                storages.append(moment)
                state_of[index] = {"step": 7.0, "exp_avg": Tensor(moment, 0, (4,), (1,))}
            group = {"lr": 1e-3, "betas": (0.9, 0.98), "eps": 1e-8, "weight_decay": 0, "amsgrad": False}
            group |= {"maximize": False, "foreach": None, "capturable": False, "params": [0, 1], "big": 1 << 100}
            root["optimizer_state_dict"] = {"state": state_of, "param_groups": [group]}
        if form == "bare":
            root = state
        compression = zipfile.ZIP_DEFLATED if "deflated" in form else zipfile.ZIP_STORED
        write(folder / f"{form}.pt", root, storages, protocol, compression, "streamed" in form, "zip64" in form)
        digests[form] = {name: hashlib.sha256(v.tobytes()).hexdigest() for name, v in expected.items()}
    (folder / "tensors.json").write_text(json.dumps(digests, indent=1) + "\n")


digests()
checkpoints()
