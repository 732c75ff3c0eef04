"""Times decoders' layers in the runtimes that a team could use instead, side by side with `genrec bench`, and prints ratios.

Usage: python3 peers.py GENREC [--shapes ml-1m-large,ml-20m-large,kuairand,llama-8x512,gpt2-8x512,sasrec-2x64,sasrec-4x256]
                        [--seconds 3] [--runs 30] [--threads 1]

Needs PyTorch; measures ONNX Runtime and OpenVINO too if they are installed (`pip install torch onnx onnxruntime openvino`). They
run only the stack of layers, HSTU's with a dense causal mask and without Meta's relative bias; they skip item look-up, scoring and
selection, which genrec's figures include, so the comparison favours them. Weights and inputs are random; times do
not depend on them. int8 is ONNX Runtime's dynamic quantisation; the other runtimes here have none without calibration.

Times are milliseconds, minimum and median of at least --runs; shares are relative to genrec's own probe in the same run.
"""

import argparse
import copy
import io
import json
import logging
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy
import torch

from make_bundle import SHAPES
from stacks import make_stack

SHORT = ["ml-1m-large", "ml-20m-large", "llama-8x512", "gpt2-8x512", "sasrec-2x64", "sasrec-4x256"]
CASES = [(shape, batch, 200) for shape in SHORT for batch in (1, 8)] + [("kuairand", 1, 512), ("kuairand", 1, 2_048)]
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
# The largest allowed deviation from PyTorch's result, relative to the largest value.
TOLERANCE = {"f32": 1e-3, "bf16": 0.1, "int8": 0.3}


def torch_call(stack, x, dtype, compiled=False):
    module, x = copy.deepcopy(stack).to(TYPES[dtype]), x.to(TYPES[dtype])
    if compiled:
        module = torch.compile(module)

    def run():
        with torch.inference_mode():
            return module(x)

    run()
    return run


def onnx_model(stack, x):
    """The stack as an ONNX graph, which ONNX Runtime and OpenVINO both read."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(stack, (x,), file, dynamo=False, opset_version=17, input_names=["x"])
    return file.getvalue()


def onnxruntime_call(graph, x, threads, int8=False):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    if int8:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "int8.onnx")
            quantize_dynamic(onnx.load_from_string(graph), file, weight_type=QuantType.QInt8, per_channel=True)
            graph = pathlib.Path(file).read_bytes()
    session, x = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]), x.numpy()
    return lambda: session.run(None, {"x": x})[0]


def openvino_call(graph, x, dtype, threads):
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": dtype,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(core.read_model(graph), "CPU", settings).create_infer_request()
    x = x.numpy()

    def run():
        request.infer({0: x}, share_inputs=True)
        return request.get_output_tensor(0).data

    return run


def peers(stack, x, threads):
    """Name and call of every installed runtime that can run the stack."""
    found, graph = {}, onnx_model(stack, x)
    makers = {
        "PyTorch f32": lambda: torch_call(stack, x, "f32"),
        "PyTorch bf16": lambda: torch_call(stack, x, "bf16"),
        "compiled f32": lambda: torch_call(stack, x, "f32", compiled=True),
        "compiled bf16": lambda: torch_call(stack, x, "bf16", compiled=True),
        "ONNX Runtime f32": lambda: onnxruntime_call(graph, x, threads),
        "ONNX Runtime int8": lambda: onnxruntime_call(graph, x, threads, int8=True),
        "OpenVINO f32": lambda: openvino_call(graph, x, "f32", threads),
        "OpenVINO bf16": lambda: openvino_call(graph, x, "bf16", threads),
    }
    for name, make in makers.items():
        try:
            found[name] = make()
        except (ImportError, RuntimeError) as error:
            print(f"{name} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
    return found


def check_agreement(calls):
    """Reports runtimes whose results differ from the first one's."""
    results = {}
    for name, call in calls.items():
        value = call()
        results[name] = numpy.asarray(value.float() if hasattr(value, "float") else value, dtype=numpy.float32)
    first = next(iter(results.values()))
    for name, value in results.items():
        off = float(numpy.abs(value - first).max() / numpy.abs(first).max())
        if not off <= TOLERANCE[name.split()[-1]]:
            print(f"{name} differs from the first runtime by {off:.1e} of the largest value", file=sys.stderr)


def timed(call, options):
    for _ in range(3):
        call()
    durations, end = [], time.perf_counter() + options.seconds
    while len(durations) < options.runs or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        durations.append(1e3 * (time.perf_counter() - start))
    return min(durations), statistics.median(durations)


def genrec(options, bundle, batch, length, dtype):
    command = [options.genrec, "bench", "--bundle", str(bundle), "--batch", str(batch), "--length", str(length)]
    command += ["--dtype", dtype, "--threads", str(options.threads), "--seconds", str(options.seconds), "--json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report["milliseconds"]["min"], report["milliseconds"]["median"], report.get("ceiling_share")


def processor():
    try:
        names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.machine()


def row(name, least, median, ratios=(), share=None):
    cells = "".join("        " if ratio is None else f"{ratio:8.2f}" for ratio in ratios)
    part = "" if share is None else f"{100 * share:6.0f} %"
    print(f"  {name:<20}{least:10.3f}{median:10.3f}{cells}{part}", flush=True)


def measure(options, bundle, shape, batch, length):
    print(f"{shape}, {batch} x {length}, {options.threads} thread(s), {processor()}")
    print(f"  {'':<20}{'min':>10}{'median':>10}{'/ type':>8}{'/ float':>8}{'of peak':>8}")
    stack, x = make_stack(SHAPES[shape]["architecture"], SHAPES[shape]["model"], batch, length)
    with torch.inference_mode():
        calls = peers(stack, x, options.threads)
    check_agreement(calls)
    best = {}
    for name, call in calls.items():
        least, median = timed(call, options)
        row(name, least, median)
        dtype = name.split()[-1]
        best[dtype] = min(least, best.get(dtype, math.inf))
    best_float = min(best["f32"], best["bf16"])
    for dtype in ["f32", "bf16", "int8"]:
        least, median, share = genrec(options, bundle, batch, length, dtype)
        same = best.get(dtype)
        row(f"genrec {dtype}", least, median, (same and least / same, least / best_float), share)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genrec")
    parser.add_argument("--shapes", default=",".join(dict.fromkeys(shape for shape, _, _ in CASES)))
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        for shape, batch, length in CASES:
            if shape not in options.shapes.split(","):
                continue
            bundle = pathlib.Path(folder) / shape
            if not bundle.exists():
                maker = pathlib.Path(__file__).with_name("make_bundle.py")
                subprocess.run([sys.executable, str(maker), shape, str(bundle)], check=True)
            measure(options, bundle, shape, batch, length)
    print("/ type: minimum over that of the fastest runtime of the same type; / float: of the fastest of f32 and bf16")


if __name__ == "__main__":
    main()
