"""Times beam search over semantic ids in genrec and in transformers' `generate` with `prefix_allowed_tokens_fn`, in one run.

Usage: python3 beam_peers.py GENREC [--models llama-6x256,qwen3-0.6b] [--length 1000] [--beams 50,256] [--dtypes f32] [--threads 2]
                             [--runs 3] [--folder DIR] [--peer-length N] [--no-peer] [--overlap]

Needs torch and transformers (`pip install torch transformers`). Weights are random, with the models' shapes; they are made once, in
--folder. --overlap compares the 50 best items of bfloat16 and int8 with those of float32. Prompts are item
tokens; both sides search the same items with the same number of beams. `generate` computes the prompt once per beam, so a
long prompt of a large model takes minutes: --peer-length gives it a shorter one, which the table states.

A round is one pass after the prompt's pass. Times are medians in milliseconds.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ITEMS, LEVELS, PROMPTS = 20_000, 3, 8
# hidden, layers, heads, key-value heads, head dimension, inner width, text vocabulary, codes per level, window, tied
MODELS = {
    "llama-6x256": ("llama", 256, 6, 4, 4, 64, 1_024, 32, 1_024, 2_048, False),
    "qwen3-0.6b": ("qwen3", 1_024, 28, 16, 8, 128, 3_072, 151_669, 8_192, 4_096, True),
}


def make_checkpoint(name, folder):
    """A Hugging Face folder with random weights, an index of items and a description for `genrec import`."""
    import torch
    import transformers

    kind, hidden, layers, heads, shared, head, inner, text, codes, window, tied = MODELS[name]
    shape = dict(
        vocab_size=text + LEVELS * codes,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        head_dim=head,
        intermediate_size=inner,
        max_position_embeddings=window,
        tie_word_embeddings=tied,
        initializer_range=0.05,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    torch.manual_seed(1)
    if kind == "llama":
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape))
    else:
        model = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**shape))
    model.to(torch.bfloat16 if hidden > 512 else torch.float32).save_pretrained(folder)
    source = random.Random(1)
    index = {
        str(item): [text + level * codes + source.randrange(codes) for level in range(LEVELS)] for item in range(ITEMS)
    }
    (folder / "index.json").write_text(json.dumps(index))
    describe = {"semantic_ids": {"index": "index.json", "template": {"before": [1], "after": [2]}}}
    (folder / "describe.json").write_text(json.dumps(describe))


def prompt(index, length):
    tokens = []
    for item in range(length):
        tokens += index[str(item * 7_919 % ITEMS)]
    return tokens[:length]


def genrec(options, bundle, dtype, length, beams, batch=1, append=None):
    command = [options.genrec, "bench", "--bundle", str(bundle), "--dtype", dtype, "--threads", str(options.threads)]
    command += ["--length", str(length), "--beams", str(beams), "--k", str(beams), "--batch", str(batch)]
    command += ["--seconds", str(options.seconds), "--json"]
    if append:
        command += ["--append", str(append)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [report[key]["median"] for key in ["milliseconds", "prefill_milliseconds", "selection_milliseconds"]]


def transformers_times(options, folder, dtype, tokens, beams):
    """Times of constrained `generate`: total, prompt and rounds."""
    import torch
    import transformers

    torch.set_num_threads(options.threads)
    kind = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=kind).eval()
    trie = {}
    for path in json.loads((folder / "index.json").read_text()).values():
        node = trie
        for token in path:
            node = node.setdefault(token, {})

    def allowed(_, ids):
        node = trie
        for token in ids[len(tokens) :].tolist():
            node = node.get(token, {})
        return list(node)

    moments = []
    forward = model.forward

    def timed(*arguments, **named):
        result = forward(*arguments, **named)
        moments.append(time.perf_counter())
        return result

    model.forward = timed
    results = []
    for _ in range(options.runs):
        moments.clear()
        start = time.perf_counter()
        with torch.inference_mode():
            model.generate(
                torch.tensor([tokens]),
                num_beams=beams,
                num_return_sequences=beams,
                max_new_tokens=LEVELS,
                length_penalty=0.0,
                do_sample=False,
                prefix_allowed_tokens_fn=allowed,
            )
        end = time.perf_counter()
        results.append([1e3 * (end - start), 1e3 * (moments[0] - start), 1e3 * (end - moments[0])])
    return [statistics.median(column) for column in zip(*results)]


def best_items(options, bundle, dtype, prompts, port):
    """The 50 best items of each prompt, as a server answers them."""
    environment = dict(os.environ, GENREC_CACHE_BYTES=str(2 << 30))
    command = [options.genrec, "serve", "--bundle", str(bundle), "--dtype", dtype, "--listen", f"127.0.0.1:{port}"]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready").read()
                break
            except OSError:
                if server.poll() is not None:
                    raise RuntimeError("the server has ended")
                time.sleep(0.2)
        lists = []
        for tokens in prompts:
            body = json.dumps({"history": [], "prompt_tokens": tokens, "k": 50, "beams": 50}).encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/recommend", body, {"Content-Type": "application/json"}
            )
            lists.append({item["item"] for item in json.load(urllib.request.urlopen(request))["items"]})
        return lists
    finally:
        server.terminate()
        server.wait()


def line(name, times, reference=None):
    ratios = "" if reference is None else "".join(f"{theirs / own:9.1f}x" for own, theirs in zip(times, reference))
    print(f"  {name:<34}" + "".join(f"{value:11.1f}" for value in times) + ratios, flush=True)


def measure(options, name, folder, bundle):
    index = json.loads((folder / "index.json").read_text())
    peer_length = options.peer_length or options.length
    for beams in map(int, filter(None, options.beams.split(","))):
        print(f"{name}, {beams} beams, {options.threads} thread(s)")
        print(f"  {'':<34}{'whole':>11}{'prompt':>11}{'rounds':>11}   transformers over genrec")
        for dtype in options.dtypes.split(","):
            if dtype in ["f32", "bf16"] and not options.no_peer:
                theirs = transformers_times(options, folder, dtype, prompt(index, peer_length), beams)
                line(f"transformers {dtype}, prompt {peer_length}", theirs)
                line(f"genrec {dtype}, prompt {peer_length}", genrec(options, bundle, dtype, peer_length, beams), theirs)
            cold = genrec(options, bundle, dtype, options.length, beams)
            line(f"genrec {dtype}, prompt {options.length}", cold)
            warm = genrec(options, bundle, dtype, options.length, beams, append=LEVELS + 1)
            line(f"genrec {dtype}, one item more", warm)
            print(f"  warm over cold {warm[0] / cold[0]:.3f}", flush=True)
            if beams <= 50:
                eight = genrec(options, bundle, dtype, options.length, beams, batch=8)
                line(f"genrec {dtype}, 8 at once", eight)
                print(f"  8 at once over one after another {8 * cold[0] / eight[0]:.2f}", flush=True)
                eight = genrec(options, bundle, dtype, options.length, beams, batch=8, append=LEVELS + 1)
                line(f"genrec {dtype}, 8 at once, one more", eight)
                print(f"  8 at once over one after another {8 * warm[0] / eight[0]:.2f}", flush=True)
    if options.overlap:
        paths = list(index.values())
        # Different items in each prompt.
        shifted = [dict(zip(index, paths[shift:] + paths[:shift])) for shift in range(0, PROMPTS * 97, 97)]
        prompts = [prompt(one, 128) for one in shifted]
        exact = best_items(options, bundle, "f32", prompts, options.port)
        for dtype in ["bf16", "int8"]:
            lists = best_items(options, bundle, dtype, prompts, options.port)
            shares = [len(own & other) / max(len(other), 1) for own, other in zip(lists, exact)]
            print(f"{name}: overlap@50 of {dtype} with f32 {statistics.mean(shares):.3f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genrec")
    parser.add_argument("--models", default="llama-6x256,qwen3-0.6b")
    parser.add_argument("--length", type=int, default=1_000)
    parser.add_argument("--peer-length", type=int)
    parser.add_argument("--beams", default="50,256")
    parser.add_argument("--dtypes", default="f32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--folder")
    parser.add_argument("--port", type=int, default=8_571)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--overlap", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.models.split(","):
            folder = pathlib.Path(options.folder or temporary) / name
            if not (folder / "describe.json").exists():
                folder.mkdir(parents=True, exist_ok=True)
                make_checkpoint(name, folder)
            bundle = folder / "bundle"
            if not bundle.exists():
                command = [options.genrec, "import", "--from", "huggingface", "--checkpoint", str(folder), "--describe"]
                command += [str(folder / "describe.json"), "--name", name, "--version", "random", "--output", str(bundle)]
                subprocess.run(command, check=True, stdout=sys.stderr)
            measure(options, name, folder, bundle)


if __name__ == "__main__":
    main()
