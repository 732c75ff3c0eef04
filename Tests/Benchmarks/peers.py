"""Times HSTU's layers in the runtimes that a team could use instead, side by side with `genrec bench`, and prints a table.

Usage: python3 peers.py GENREC [--shapes ml-1m-large,ml-20m-large,kuairand] [--seconds 3] [--threads 1]

Measures those of PyTorch, ONNX Runtime and OpenVINO that are installed (`pip install torch onnx onnxruntime openvino`). They
run only the stack of layers, with a dense causal mask and without Meta's relative bias, gather, scoring and selection, which
genrec's figures contain: the comparison favours them. Weights and inputs are random; times do not depend on them.

Times are milliseconds, minimum and median; shares are relative to genrec's own probe in the same run.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

from make_bundle import OUTPUT_LENGTH, SHAPES

CASES = [
    ("ml-1m-large", 1, 200),
    ("ml-1m-large", 8, 200),
    ("ml-20m-large", 1, 200),
    ("ml-20m-large", 8, 200),
    ("kuairand", 1, 512),
    ("kuairand", 1, 2_048),
]
EPSILON = 1e-6
LEAST_RUNS = 30


class Stack:
    """The layers' weights, as numpy arrays of float32."""

    def __init__(self, shape, batch, length):
        self.width, self.layers, self.heads, self.dqk, self.dv, window, _ = SHAPES[shape]
        self.batch, self.length, self.scale = batch, length, 1 / (window + OUTPUT_LENGTH)
        source = numpy.random.default_rng(1)
        columns = 2 * self.heads * (self.dqk + self.dv)

        def matrix(*extents):
            return (source.uniform(-1, 1, extents) / math.sqrt(extents[0])).astype(numpy.float32)

        self.uvqk = [matrix(self.width, columns) for _ in range(self.layers)]
        self.output = [matrix(self.heads * self.dv, self.width) for _ in range(self.layers)]
        self.bias = [matrix(self.width) for _ in range(self.layers)]
        self.mask = (numpy.tril(numpy.ones((length, length))) * self.scale).astype(numpy.float32)
        self.input = matrix(batch, length, self.width)
        value, key = self.heads * self.dv, self.heads * self.dqk
        self.splits = [value, value, key, key]


def torch_call(stack, dtype):
    import torch
    from torch.nn.functional import layer_norm, linear, silu

    kind = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
    uvqk = [torch.tensor(w.T.copy()).to(kind) for w in stack.uvqk]
    output = [torch.tensor(w.T.copy()).to(kind) for w in stack.output]
    bias = [torch.tensor(b).to(kind) for b in stack.bias]
    mask, x0 = torch.tensor(stack.mask).to(kind), torch.tensor(stack.input).to(kind)
    batch, length, heads = stack.batch, stack.length, stack.heads

    def split(x, columns):
        return x.view(batch, length, heads, columns).transpose(1, 2)

    def run():
        with torch.inference_mode():
            x = x0
            for layer in range(stack.layers):
                parts = silu(linear(layer_norm(x, (stack.width,), eps=EPSILON), uvqk[layer]))
                u, v, q, k = parts.split(stack.splits, dim=-1)
                weights = silu(split(q, stack.dqk) @ split(k, stack.dqk).transpose(2, 3)) * mask
                y = (weights @ split(v, stack.dv)).transpose(1, 2).reshape(batch, length, -1)
                y = u * layer_norm(y, (heads * stack.dv,), eps=EPSILON)
                x = linear(y, output[layer], bias[layer]) + x
            return x

    return run


def onnx_model(stack):
    """The stack as an ONNX graph, which ONNX Runtime and OpenVINO both read."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, constants = [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(numpy.asarray(value), name))
        return name

    def node(kind, inputs, outputs, **attributes):
        nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs[0]

    def swish(x, name):
        return node("Mul", [x, node("Sigmoid", [x], [name + ".sigmoid"])], [name])

    batch, length, heads = stack.batch, stack.length, stack.heads
    mask = constant("mask", stack.mask)
    splits = constant("splits", numpy.array(stack.splits, dtype=numpy.int64))
    ones = {n: constant(f"ones.{n}", numpy.ones(n, numpy.float32)) for n in {stack.width, heads * stack.dv}}
    shapes = {n: constant(f"heads.{n}", numpy.array([batch, length, heads, n])) for n in {stack.dqk, stack.dv}}
    whole = constant("whole", numpy.array([batch, length, heads * stack.dv]))
    x = "x"
    for layer in range(stack.layers):
        prefix = f"{layer}."

        def by_head(x, columns, permutation):
            shaped = node("Reshape", [x, shapes[columns]], [x + ".heads"])
            return node("Transpose", [shaped], [x + ".turned"], perm=permutation)

        normal = node("LayerNormalization", [x, ones[stack.width]], [prefix + "norm"], axis=-1, epsilon=EPSILON)
        product = node("MatMul", [normal, constant(prefix + "uvqk", stack.uvqk[layer])], [prefix + "product"])
        names = [prefix + part for part in "uvqk"]
        node("Split", [swish(product, prefix + "parts"), splits], names, axis=-1)
        u, v, q, k = names
        scores = node(
            "MatMul",
            [by_head(q, stack.dqk, [0, 2, 1, 3]), by_head(k, stack.dqk, [0, 2, 3, 1])],
            [prefix + "scores"],
        )
        weights = node("Mul", [swish(scores, prefix + "silu"), mask], [prefix + "weights"])
        y = node("MatMul", [weights, by_head(v, stack.dv, [0, 2, 1, 3])], [prefix + "y"])
        y = node("Reshape", [node("Transpose", [y], [prefix + "rows"], perm=[0, 2, 1, 3]), whole], [prefix + "joined"])
        y = node("LayerNormalization", [y, ones[heads * stack.dv]], [prefix + "ynorm"], axis=-1, epsilon=EPSILON)
        y = node("Mul", [u, y], [prefix + "gated"])
        y = node("MatMul", [y, constant(prefix + "output", stack.output[layer])], [prefix + "out"])
        y = node("Add", [y, constant(prefix + "bias", stack.bias[layer])], [prefix + "biased"])
        x = node("Add", [y, x], [prefix + "x"])
    extents = [batch, length, stack.width]
    graph = helper.make_graph(
        nodes,
        "hstu",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, extents)],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, extents)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return model.SerializeToString()


def onnxruntime_call(stack, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(onnx_model(stack), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": stack.input})[0]


def openvino_call(stack, dtype, threads):
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": dtype,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
    compiled = core.compile_model(core.read_model(onnx_model(stack)), "CPU", settings)
    request = compiled.create_infer_request()

    def run():
        request.infer({0: stack.input}, share_inputs=True)
        return request.get_output_tensor(0).data

    return run


def peers(stack, threads):
    """Name and call of every runtime that is installed."""
    found = {}
    makers = {
        "PyTorch f32": lambda: torch_call(stack, "f32"),
        "PyTorch bf16": lambda: torch_call(stack, "bf16"),
        "ONNX Runtime f32": lambda: onnxruntime_call(stack, threads),
        "OpenVINO f32": lambda: openvino_call(stack, "f32", threads),
        "OpenVINO bf16": lambda: openvino_call(stack, "bf16", threads),
    }
    for name, make in makers.items():
        try:
            found[name] = make()
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return found


def agree(calls):
    """Reports runtimes whose results differ."""
    results = {}
    for name, call in calls.items():
        value = call()
        results[name] = numpy.asarray(value.float() if hasattr(value, "float") else value, dtype=numpy.float32)
    first = next(iter(results.values()), None)
    for name, value in results.items():
        off = float(numpy.abs(value - first).max() / numpy.abs(first).max())
        if off > (0.1 if name.endswith("bf16") else 1e-3):
            print(f"{name} differs from the first runtime by {off:.1e} of the largest value", file=sys.stderr)


def timed(call, seconds):
    for _ in range(3):
        call()
    durations, end = [], time.perf_counter() + seconds
    while len(durations) < LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        durations.append(1e3 * (time.perf_counter() - start))
    return min(durations), statistics.median(durations)


def genrec(binary, bundle, batch, length, dtype, threads, seconds):
    command = [binary, "bench", "--bundle", str(bundle), "--batch", str(batch), "--length", str(length)]
    command += ["--dtype", dtype, "--threads", str(threads), "--seconds", str(seconds), "--json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report["milliseconds"]["min"], report["milliseconds"]["median"], report.get("ceiling_share")


def row(name, least, median, reference, share=None):
    ratio = "" if reference is None else f"{least / reference:7.2f}"
    part = "" if share is None else f"{100 * share:5.0f} %"
    print(f"  {name:<22}{least:10.3f}{median:10.3f}{ratio:>9}{part:>9}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genrec")
    parser.add_argument("--shapes", default="ml-1m-large,ml-20m-large,kuairand")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    try:
        import torch

        torch.set_num_threads(options.threads)
    except ImportError:
        pass
    with tempfile.TemporaryDirectory() as folder:
        bundles = {}
        for shape, batch, length in CASES:
            if shape not in options.shapes.split(","):
                continue
            if shape not in bundles:
                bundles[shape] = pathlib.Path(folder) / shape
                maker = pathlib.Path(__file__).with_name("make_bundle.py")
                subprocess.run([sys.executable, str(maker), shape, str(bundles[shape])], check=True)
            print(f"{shape}, {batch} x {length}, {options.threads} thread(s); cores {os.cpu_count()}")
            print(f"  {'':<22}{'min':>10}{'median':>10}{'ratio':>9}{'ceiling':>9}")
            calls = peers(Stack(shape, batch, length), options.threads)
            agree(calls)
            best = {}
            for name, call in calls.items():
                least, median = timed(call, options.seconds)
                row(name, least, median, None)
                dtype = name.split()[-1]
                best[dtype] = min(least, best.get(dtype, math.inf))
            own = {}
            for dtype in ["f32", "bf16", "int8"]:
                least, median, share = genrec(
                    options.genrec, bundles[shape], batch, length, dtype, options.threads, options.seconds
                )
                own[dtype] = least
                # int8 is compared with genrec's own bfloat16: no runtime here has int8 for these graphs.
                reference = own["bf16"] if dtype == "int8" else best.get(dtype)
                row(f"genrec {dtype}", least, median, reference, share)
            del calls
    print("ratio: minimum over that of the fastest peer of the same type; int8 over genrec's own bf16")


if __name__ == "__main__":
    main()
