#!/usr/bin/env python3
"""The cost of an answer by popularity on a server that computes as much as it can: the processor time per reply of all threads except
the computing ones (the engine's and the kernels'). The aim is at most 50 microseconds.

    degraded.py GENREC --bundle DIRECTORY [--seconds S] [--connections N]

The bundle comes from `make_bundle.py`. Callers ask again as soon as they have a reply, with a deadline of one millisecond, which the
model never meets: nothing is computed, and all of the server's time goes to popularity. Then one caller asks without a deadline, so
that the model computes all the time, while the others continue. Histories have 20 and 200 events. Uses only the standard library.
"""

import argparse
import os
import tempfile
import threading
import time

import loading

COMPUTING = ("genrec-engine", "genrec-kernel")


def processor_seconds(process, computing):
    """Processor seconds that a process's computing threads, or all its others, have used."""
    total = 0
    for thread in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{thread}/schedstat", encoding="utf-8") as file:
            nanoseconds = int(file.read().split()[0])
        with open(f"/proc/{process}/task/{thread}/comm", encoding="utf-8") as file:
            if file.read().startswith(COMPUTING) == computing:
                total += nanoseconds / 1e9
    return total


def measure(options, server, path, length, is_busy):
    stop = threading.Event()

    def keep_busy():
        while not stop.is_set():
            loading.send(options, server.port, path, "--connections", "1", "--seconds", "1")

    thread = threading.Thread(target=keep_busy)
    if is_busy:
        start = processor_seconds(server.process.pid, computing=True)
        thread.start()
        # Wait until the model is computing.
        while thread.is_alive() and processor_seconds(server.process.pid, computing=True) - start < 0.05:
            time.sleep(0.02)
    before = processor_seconds(server.process.pid, computing=False)
    how = ("--connections", str(options.connections), "--seconds", str(options.seconds), "--deadline-ms", "1")
    report = loading.send(options, server.port, path, *how, "--lengths", f"{length}:{length}")
    spent = processor_seconds(server.process.pid, computing=False) - before
    is_alive = thread.is_alive()
    stop.set()
    if is_busy:
        thread.join()
        assert is_alive, "the model stopped computing"
    replies, popular = report["statuses"].get("200", 0), report["replies"]["popularity"]
    print(
        f"{length} events, {'beside a model that computes' if is_busy else 'nothing else'}: {replies} replies,"
        f" {popular} by popularity, {1e6 * spent / max(replies, 1):.1f} us of the server each,"
        f" p50 {report['latency_ms']['p50']:.3f} ms, p99 {report['latency_ms']['p99']:.3f} ms",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("genrec")
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=4)
    options = parser.parse_args()
    os.environ["GENREC_RECOMMEND_FALLBACK"] = "popularity"
    server = loading.Server(options.genrec, options.bundle)
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
            loading.interactions(options.bundle, file.name)
            for length in (20, 200):
                for is_busy in (False, True):
                    measure(options, server, file.name, length, is_busy)
    finally:
        server.process.terminate()
        server.process.wait()


if __name__ == "__main__":
    main()
