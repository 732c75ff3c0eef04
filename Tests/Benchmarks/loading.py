#!/usr/bin/env python3
"""The latency of one model's callers while a larger model is repeatedly loaded next to it: `make bench-loading`, on a quiet machine
with two cores or more.

    loading.py GENREC --bundle DIRECTORY --other DIRECTORY [--rounds N] [--seconds S] [--share OF-CAPACITY]

Both bundles come from `make_bundle.py`. Requests arrive as a Poisson process at a share of the server's capacity, alternately with and
without loads. Prints each round's p50 and p99, the ratio of the p99, and the quartiles of the ratios; the aim is a median of at most
1.2. Uses only the standard library.
"""

import argparse
import http.client
import json
import os
import random
import re
import statistics
import subprocess
import tempfile
import threading
import time


class Server:
    def __init__(self, genrec, bundle):
        self.process = subprocess.Popen(
            [genrec, "serve", "--bundle", bundle, "--listen", "127.0.0.1:0"],
            # Users' cached rows would make requests cheaper from round to round.
            env=dict(os.environ, GENREC_CACHE_BYTES="0"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)", self.process.stdout.readline())[1])

    def ask(self, method, path, body=""):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, text

    def load_other(self, bundle):
        """Loads a bundle next to the served one and removes it. Returns the seconds that loading took."""
        start = time.monotonic()
        status, text = self.ask("POST", "/admin/models", json.dumps({"bundle": bundle}))
        seconds = time.monotonic() - start
        if status != 201:
            raise RuntimeError(f"the bundle was not loaded: {text}")
        model = json.loads(text)["model"]
        status, text = self.ask("DELETE", f"/admin/models/{model['name']}/{model['version']}")
        if status != 200:
            raise RuntimeError(f"the model was not removed: {text}")
        return seconds


def of_the_same_name(other, bundle, folder):
    """The other bundle as a version under the first one's name: it gets no share of the traffic and can be removed."""
    with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
        name = json.load(file)["name"]
    with open(os.path.join(other, "config.json"), encoding="utf-8") as file:
        configuration = json.load(file) | {"name": name, "version": "other"}
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(configuration, file)
    for part in ("model.safetensors", "catalogue.jsonl"):
        os.symlink(os.path.abspath(os.path.join(other, part)), os.path.join(folder, part))
    return folder


def interactions(bundle, path):
    """Writes users with as many events as the model's window."""
    with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
        model = json.load(file)["model"]
    draw = random.Random(1)
    with open(path, "w", encoding="utf-8") as file:
        file.write("user\titem\ttimestamp\n")
        for user in range(200):
            for event in range(model["max_sequence_length"] + 1):
                file.write(f"u-{user}\t{draw.randint(1, model['item_rows'] - 1)}\t{1_700_000_000 + 60 * event}\n")


def send(options, port, path, *how):
    command = [options.genrec, "load", "--url", f"http://127.0.0.1:{port}", "--interactions", path, "--json", *how]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    wrong = report["requests"]["begun"] - report["statuses"].get("200", 0)
    if wrong:
        print(f"    {wrong} of {report['requests']['begun']} requests did not end with 200")
    return report


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("genrec")
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--other", required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--share", type=float, default=0.5)
    options = parser.parse_args()
    server = Server(options.genrec, options.bundle)
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file, tempfile.TemporaryDirectory() as folder:
            other = of_the_same_name(options.other, options.bundle, folder)
            interactions(options.bundle, file.name)
            whole = send(options, server.port, file.name, "--connections", "8", "--seconds", "4")
            capacity = whole["statuses"]["200"] / 4
            rate = options.share * capacity
            print(f"{capacity:.0f} requests a second at most; {rate:.0f} are sent")
            how = ("--rate", f"{rate:.2f}", "--seconds", str(options.seconds))
            ratios = []

            def latency():
                return send(options, server.port, file.name, *how)["latency_ms"]

            def latency_beside(loads):
                is_done = threading.Event()

                def keep_loading():
                    while not is_done.is_set():
                        loads.append(server.load_other(other))

                thread = threading.Thread(target=keep_loading)
                thread.start()
                found = latency()
                is_done.set()
                thread.join()
                return found

            for number in range(1, options.rounds + 1):
                loads = []
                if number % 2:
                    alone = latency()
                    beside = latency_beside(loads)
                else:
                    beside = latency_beside(loads)
                    alone = latency()
                ratios.append(beside["p99"] / alone["p99"])
                print(
                    f"round {number}: p50 {alone['p50']:.2f}, p99 {alone['p99']:.2f} ms alone; {beside['p50']:.2f}, {beside['p99']:.2f}"
                    f" beside {len(loads)} loads of {statistics.median(loads):.1f} s: {ratios[-1]:.2f}",
                    flush=True,
                )
            quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else 3 * ratios
            print("quartiles of the ratio " + ", ".join(f"{ratio:.2f}" for ratio in quartiles))
    finally:
        server.process.terminate()
        server.process.wait()


if __name__ == "__main__":
    main()
