"""Makes the reference data of the import tests; needs numpy, not torch.

  digests      SHA-256 of the float32 bytes of every tensor of the checkpoints in this folder (tensors.json), read by
               Python's own pickle and zipfile: a second reader, independent of ours.
  imported     SHA-256 of the float32 bytes of every tensor that an import must give, under the bundle's names
               (imported.json), for SASRec, Llama and GPT-2: names, joins and orientation are written here independently.
  checkpoints  small checkpoints in every form that torch.save can write (torch-forms/): Python's pickler with stand-ins
               for the torch names writes the same opcodes that torch writes.
  trainers     tiny checkpoints of the trainers and forms that the larger fixtures do not cover (trainer-forms/).

Usage: python3 make_fixtures.py
"""

import collections
import hashlib
import io
import json
import pathlib
import pickle
import struct
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
    """Modules in which the pickler finds the torch names."""
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
    """The bits of values truncated to bfloat16."""
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
        # As in the result of state_dict(); pickled as attributes of the dictionary.
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


# --- imported


def read_safetensors(path):
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = (8 + size + offset for offset in entry["data_offsets"])
        kind = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?"}[entry["dtype"]]
        data = np.frombuffer(content[start:end], kind).reshape(entry["shape"])
        if entry["dtype"] == "BF16":
            data = (data.astype("<u4") << 16).view("<f4")
        tensors[name] = data
    return tensors


def layer_count(state, pattern):
    return next(i for i in range(100) if pattern.format(i) not in state)


def sasrec_tensors(state):
    """Meta's names, or SASRec.pytorch's."""
    is_meta = "_embedding_module._item_emb.weight" in state
    get = lambda name: state[name]
    result = {}
    if is_meta:
        result["item_embedding.weight"] = get("_embedding_module._item_emb.weight")
        result["position_embedding.weight"] = get("_input_features_preproc._pos_emb.weight")
    else:
        result["item_embedding.weight"] = get("item_emb.weight")
        result["position_embedding.weight"] = get("pos_emb.weight")
        result["output_norm.weight"] = get("last_layernorm.weight")
        result["output_norm.bias"] = get("last_layernorm.bias")
    for i in range(layer_count(state, "attention_layers.{}.in_proj_weight")):
        ours, first, second = f"layers.{i}.", f"forward_layers.{i}.conv1", f"forward_layers.{i}.conv2"
        if is_meta:
            first, second = f"forward_layers.{i}._conv1d.0", f"forward_layers.{i}._conv1d.3"
        for kind in ("weight", "bias"):
            result[ours + "attention.qkv." + kind] = get(f"attention_layers.{i}.in_proj_{kind}")
            result[ours + "attention.output." + kind] = get(f"attention_layers.{i}.out_proj.{kind}")
            for name, theirs in (("hidden", first), ("output", second)):
                value = get(f"{theirs}.{kind}")
                result[ours + f"feed_forward.{name}.{kind}"] = value[:, :, 0] if kind == "weight" else value
            if not is_meta:
                result[ours + "attention_norm." + kind] = get(f"attention_layernorms.{i}.{kind}")
                result[ours + "feed_forward_norm." + kind] = get(f"forward_layernorms.{i}.{kind}")
    return result


def llama_tensors(state):
    """Hugging Face's names, or Performance-Law's."""
    result = {}
    if "item_emb.weight" in state:
        result["item_embedding.weight"] = state["item_emb.weight"]
        result["output_norm.weight"] = state["norm.weight"]
        names = ("layers.{}.", "attention.w{}.", "qkv", "attention.wo.", "attention_norm.", "ffn_norm.")
        gate, up, down = "feed_forward.w1.", "feed_forward.w3.", "feed_forward.w2."
    else:
        result["item_embedding.weight"] = state["model.embed_tokens.weight"]
        result["output_norm.weight"] = state["model.norm.weight"]
        names = ("model.layers.{}.", "self_attn.{}_proj.", "qkv", "self_attn.o_proj.", "input_layernorm.")
        names += ("post_attention_layernorm.",)
        gate, up, down = "mlp.gate_proj.", "mlp.up_proj.", "mlp.down_proj."
    prefix, part, parts, output, first, second = names
    for i in range(layer_count(state, prefix + first + "weight")):
        theirs, ours = prefix.format(i), f"layers.{i}."
        result[ours + "attention_norm.weight"] = state[theirs + first + "weight"]
        result[ours + "feed_forward_norm.weight"] = state[theirs + second + "weight"]
        for kind in ("weight", "bias"):
            if theirs + output + kind in state:
                joined = [state[theirs + part.format(letter) + kind] for letter in parts]
                result[ours + "attention.qkv." + kind] = np.concatenate(joined)
                result[ours + "attention.output." + kind] = state[theirs + output + kind]
            if theirs + down + kind in state:
                joined = [state[theirs + gate + kind], state[theirs + up + kind]]
                result[ours + "feed_forward.gate_up." + kind] = np.concatenate(joined)
                result[ours + "feed_forward.down." + kind] = state[theirs + down + kind]
    return result


def gpt2_tensors(state):
    state = {name.removeprefix("transformer."): value for name, value in state.items()}
    result = {
        "item_embedding.weight": state["wte.weight"],
        "position_embedding.weight": state["wpe.weight"],
        "output_norm.weight": state["ln_f.weight"],
        "output_norm.bias": state["ln_f.bias"],
    }
    names = {
        "attention_norm": "ln_1",
        "attention.qkv": "attn.c_attn",
        "attention.output": "attn.c_proj",
        "feed_forward_norm": "ln_2",
        "feed_forward.hidden": "mlp.c_fc",
        "feed_forward.output": "mlp.c_proj",
    }
    for i in range(layer_count(state, "h.{}.ln_1.weight")):
        for ours, theirs in names.items():
            for kind in ("weight", "bias"):
                result[f"layers.{i}.{ours}.{kind}"] = state[f"h.{i}.{theirs}.{kind}"]
    return result


def write_imported(path, tensors, head=None):
    if head is not None:
        tensors = tensors | {"head.weight": head}
    result = {}
    for name, value in sorted(tensors.items()):
        content = np.ascontiguousarray(value.astype("<f4"))
        result[name] = {"shape": list(content.shape), "sha256": hashlib.sha256(content.tobytes()).hexdigest()}
    path.write_text(json.dumps(result, indent=1) + "\n")


def imported():
    for folder in sorted(HERE.glob("sasrec-*")):
        state = read_checkpoint(next(folder.glob("checkpoint.*")))
        state = state.get("model_state_dict", state)
        state = {name.removeprefix("module."): value for name, value in state.items()}
        write_imported(folder / "imported.json", sasrec_tensors(state))
    for name, tensors in (("llama-small", llama_tensors), ("gpt2-small", gpt2_tensors)):
        state = read_safetensors(HERE / name / "model.safetensors")
        write_imported(HERE / name / "imported.json", tensors(state))


# --- trainers


def write_safetensors(path, tensors, code):
    """Tensors of float32 values as F32, F16 or BF16 (truncated); booleans unchanged."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, value in tensors.items():
        kind = "BOOL" if value.dtype == bool else code
        content = {
            "F32": lambda: value.astype("<f4"),
            "F16": lambda: value.astype("<f2"),
            "BF16": lambda: bfloat16(value),
            "BOOL": lambda: value,
        }[kind]().tobytes()
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def llama_state(rng, biases):
    """D 4, one layer, two heads of 2, one key/value head, F 6, 7 rows."""
    shapes = {"model.embed_tokens.weight": (7, 4), "model.norm.weight": (4,)}
    for name, rows in (("self_attn.q_proj", 4), ("self_attn.k_proj", 2), ("self_attn.v_proj", 2)):
        shapes[f"model.layers.0.{name}.weight"] = (rows, 4)
        shapes[f"model.layers.0.{name}.bias"] = (rows,)
    for name, shape in (("self_attn.o_proj", (4, 4)), ("mlp.gate_proj", (6, 4)), ("mlp.up_proj", (6, 4))):
        shapes[f"model.layers.0.{name}.weight"] = shape
        shapes[f"model.layers.0.{name}.bias"] = shape[:1]
    shapes["model.layers.0.mlp.down_proj.weight"] = (4, 6)
    shapes["model.layers.0.mlp.down_proj.bias"] = (4,)
    shapes["model.layers.0.input_layernorm.weight"] = (4,)
    shapes["model.layers.0.post_attention_layernorm.weight"] = (4,)
    return {
        name: rng.standard_normal(shape).astype("<f4")
        for name, shape in shapes.items()
        if biases or not name.endswith(".bias")
    }


LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 6,
    "max_position_embeddings": 16,
    "rms_norm_eps": 1e-5,
    "vocab_size": 7,
}


def trainers():
    folder = HERE / "trainer-forms"
    rng = np.random.default_rng(11)

    def directory(name, config, description):
        path = folder / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        described = {"source": "huggingface", "max_sequence_length": 8} | description
        (path / "import.json").write_text(json.dumps(described) + "\n")
        return path

    # Every option that is off by default, in bfloat16, with the keys of transformers before 5.
    config = LLAMA | {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False, "rope_theta": 500000.0}
    config |= {"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}}
    config["rope_scaling"]["original_max_position_embeddings"] = 8
    path = directory("llama-bfloat16", config, {"architecture": "llama", "embed_scale": "sqrt_d", "score_norm": "l2"})
    state = llama_state(rng, True) | {"lm_head.weight": rng.standard_normal((7, 4)).astype("<f4")}
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(1, "<f4")
    write_safetensors(path / "model.safetensors", state, "BF16")
    state = read_safetensors(path / "model.safetensors")
    write_imported(path / "imported.json", llama_tensors(state), head=state["lm_head.weight"])

    # Shards in float16, with the tied head stored beside the table.
    path = directory("llama-sharded", LLAMA | {"tie_word_embeddings": True}, {"architecture": "llama"})
    state = llama_state(rng, False)
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    names, merged, weight_map = list(state), {}, {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        shard = f"model-{number:05}-of-00002.safetensors"
        write_safetensors(path / shard, {name: state[name] for name in part}, "F16")
        merged |= read_safetensors(path / shard)
        weight_map |= {name: shard for name in part}
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (path / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    write_imported(path / "imported.json", llama_tensors(merged))

    # Without prefix, with the mask buffers of old versions, untied.
    config = {"model_type": "gpt2", "n_embd": 4, "n_layer": 1, "n_head": 2, "n_inner": 6, "n_positions": 8}
    config |= {"vocab_size": 7, "tie_word_embeddings": False, "scale_attn_by_inverse_layer_idx": True}
    path = directory("gpt2-bare", config, {"architecture": "gpt"})
    shapes = {"wte": (7, 4), "wpe": (8, 4), "ln_f": (4,), "h.0.ln_1": (4,), "h.0.ln_2": (4,)}
    shapes |= {"h.0.attn.c_attn": (4, 12), "h.0.attn.c_proj": (4, 4), "h.0.mlp.c_fc": (4, 6), "h.0.mlp.c_proj": (6, 4)}
    state = {"h.0.attn.bias": np.ones((1, 1, 8, 8), "?"), "h.0.attn.masked_bias": np.full((), -1e4, "<f4")}
    for name, shape in shapes.items():
        state[name + ".weight"] = rng.standard_normal(shape).astype("<f4")
        if name not in ("wte", "wpe"):
            state[name + ".bias"] = rng.standard_normal(shape[-1:]).astype("<f4")
    state["lm_head.weight"] = rng.standard_normal((7, 4)).astype("<f4")
    write_safetensors(path / "model.safetensors", state, "F32")
    write_imported(path / "imported.json", gpt2_tensors(state), head=state["lm_head.weight"])

    def save(path, state, tied=None):
        storages, tensors = [], collections.OrderedDict()
        for name, value in state.items():
            storages.append(Storage(str(len(storages)), "FloatStorage", value.ravel()))
            strides = tuple(int(np.prod(value.shape[axis + 1 :])) for axis in range(value.ndim))
            tensors[name] = Tensor(storages[-1], 0, value.shape, strides)
        if tied:
            tensors[tied[0]] = tensors[tied[1]]
        write(path, tensors, storages, 2, zipfile.ZIP_STORED, False, False)

    # SASRec.pytorch before 2024-06-25: as many positions as the window has slots.
    shapes = {"item_emb.weight": (7, 4), "pos_emb.weight": (5, 4), "attention_layers.0.in_proj_weight": (12, 4)}
    shapes |= {"attention_layers.0.in_proj_bias": (12,), "attention_layers.0.out_proj.weight": (4, 4)}
    shapes |= {"attention_layers.0.out_proj.bias": (4,)}
    for name in ("attention_layernorms.0", "forward_layernorms.0", "last_layernorm"):
        shapes |= {name + ".weight": (4,), name + ".bias": (4,)}
    for name in ("forward_layers.0.conv1", "forward_layers.0.conv2"):
        shapes |= {name + ".weight": (4, 4, 1), name + ".bias": (4,)}
    state = {name: rng.standard_normal(shape).astype("<f4") for name, shape in shapes.items()}
    save(folder / "sasrec-every-slot.pth", state)
    write_imported(folder / "sasrec-every-slot.json", sasrec_tensors(state))

    # Performance-Law: compiled, so with the prefix of torch.compile.
    shapes = {"item_emb.weight": (7, 8), "norm.weight": (8,)}
    shapes |= {f"layers.0.attention.w{letter}.weight": (rows, 8) for letter, rows in zip("qkvo", (8, 4, 4, 8))}
    shapes |= {f"layers.0.feed_forward.w{number}.weight": shape for number, shape in ((1, (32, 8)), (3, (32, 8)))}
    shapes |= {"layers.0.feed_forward.w2.weight": (8, 32)}
    shapes |= {"layers.0.attention_norm.weight": (8,), "layers.0.ffn_norm.weight": (8,)}
    state = {name: rng.standard_normal(shape).astype("<f4") for name, shape in shapes.items()}
    write_imported(folder / "performance-law.json", llama_tensors(state))
    state = {"_orig_mod." + name: value for name, value in state.items()}
    save(folder / "performance-law.pth", state, tied=("_orig_mod.output.weight", "_orig_mod.item_emb.weight"))


digests()
imported()
checkpoints()
trainers()
