#!/usr/bin/env python3
"""The cost of the local user store, over HTTP: `make bench-users` runs all of it on a quiet machine with two cores or more.

    users.py GENREC scale      imports events; memory, the start after kill -9, lookups
    users.py GENREC ingest     events arrive during recommendations: the p99 with and without events
    users.py GENREC returning  a user by name with one new event, against the whole history (--bundle, `make_bundle.py kuairand`)

Uses only the standard library; requests go to 127.0.0.1.
"""

import argparse
import atexit
import http.client
import json
import os
import random
import re
import signal
import statistics
import subprocess
import tempfile
import threading
import time

CHILDREN = []


@atexit.register
def end_children():
    for process in CHILDREN:
        if process.poll() is None:
            process.kill()


class Server:
    """A server on a free port; `seconds` is how long it took to start."""

    def __init__(self, options, bundle, folder=None, **environment):
        if folder:
            environment |= {"USERS_STORE": "local", "USERS_LOCAL_DIRECTORY": folder}
        start = time.monotonic()
        self.process = subprocess.Popen(
            [options.genrec, "serve", "--bundle", bundle, "--listen", "127.0.0.1:0"],
            env=dict(os.environ, **{f"GENREC_{name}": value for name, value in environment.items()}),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        CHILDREN.append(self.process)
        line = self.process.stdout.readline()
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)", line)[1])
        self.seconds = time.monotonic() - start
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port)

    def ask(self, method, path, body=None, content="application/json"):
        self.connection.request(method, path, body, {"Content-Type": content})
        reply = self.connection.getresponse()
        text = reply.read().decode()
        if reply.status != 200:
            raise SystemExit(f"{method} {path}: {reply.status} {text}")
        return text

    def recommend(self, **call):
        start = time.monotonic()
        reply = json.loads(self.ask("POST", "/recommend", json.dumps(call)))
        return time.monotonic() - start, reply

    def add(self, lines):
        return json.loads(self.ask("POST", "/events", "".join(lines), "application/x-ndjson"))

    @property
    def memory(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def processor(self):
        """Processor seconds used so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metrics(self):
        return dict(
            line.rsplit(" ", 1) for line in self.ask("GET", "/metrics").split("\n") if line and line[0] != "#"
        )

    def end(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait()


def line(user, item, at):
    return f'{{"user_id":"user-{user}","item":"{item}","timestamp":{at},"action":"click"}}\n'


def bodies(options, draw, items):
    """Bodies with events of random users in time order, one in a hundred late."""
    at = 1_700_000_000
    for first in range(0, options.events, options.call):
        lines = []
        for _ in range(min(options.call, options.events - first)):
            at += draw.random() < 0.05
            late = 3_600 if draw.random() < 0.01 else 0
            lines.append(line(int(draw.random() * options.users), items[int(draw.random() * len(items))], at - late))
        yield lines


def lookups(server, names, count, draw):
    """Mean and p99 of lookups in microseconds, from the server's histogram; the p99 is the bound of its bucket."""
    before = server.metrics()
    for _ in range(count):
        server.recommend(user_id=draw.choice(names), k=1)
    after = server.metrics()
    delta = lambda name: float(after[name]) - float(before.get(name, 0))
    mean = delta("genrec_store_seconds_sum") / delta("genrec_store_seconds_count")
    for name in after:
        bound = re.fullmatch(r'genrec_store_seconds_bucket\{le="(.*)"\}', name)
        if bound and delta(name) >= 0.99 * count:
            return mean * 1e6, float(bound[1].replace("+Inf", "inf")) * 1e6


def scale(options, folder):
    draw = random.Random(1)
    # The demo does not know these items, so it answers by popularity, and lookups are most of the remaining work.
    items = [f"item-{number:06}" for number in range(100_000)]
    empty = Server(options, options.demo, os.path.join(folder, "none"))
    empty.recommend(user_id="nobody", k=1)
    start, memory = empty.seconds, empty.memory
    empty.end()
    store = os.path.join(folder, "users")
    server = Server(options, options.demo, store)
    spent, sent, accepted = 0.0, time.monotonic(), 0
    before = server.processor
    for lines in bodies(options, draw, items):
        body = "".join(lines)
        begin = time.monotonic()
        reply = json.loads(server.ask("POST", "/events", body, "application/x-ndjson"))
        spent += time.monotonic() - begin
        accepted += reply["accepted"]
    print(f"{accepted} events of {options.users} users in {time.monotonic() - sent:.0f} s")
    print(f"  taken by the server: {accepted / spent:,.0f} a second, {(server.processor - before) / accepted * 1e6:.2f} µs of processor an event")
    for user in range(10):
        server.add(line(f"heavy-{user}", draw.choice(items), at) for at in range(2_048))
    print(f"  memory: {(server.memory - memory) / accepted:.1f} bytes an event with everything")
    server.end()
    print("  files:", {name: f"{os.path.getsize(os.path.join(store, name)) >> 20} MiB" for name in sorted(os.listdir(store))})
    for _ in range(options.rounds):
        server = Server(options, options.demo, store)
        print(f"  start after kill -9: {server.seconds - start:.2f} s; memory {(server.memory - memory) / accepted:.1f} bytes an event")
        names = [f"user-{number}" for number in range(options.users)]
        heavy = [f"user-heavy-{number}" for number in range(10)]
        print("  lookup, about %d events: mean %.1f µs, p99 <= %.0f µs" % (accepted / options.users, *lookups(server, names, 5_000, draw)))
        print("  lookup, 2048 events: mean %.1f µs, p99 <= %.0f µs" % lookups(server, heavy, 2_000, draw), flush=True)
        server.end()


def load(options, port):
    run = subprocess.run(
        [options.genrec, "load", "--url", f"http://127.0.0.1:{port}", "--rate", str(options.rate), "--seconds"]
        + [str(options.seconds), "--interactions", os.path.join(options.demo, "interactions.tsv"), "--seed", "5", "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(run.stdout)["latency_ms"]


def ingest(options, folder):
    """Generates the events beforehand, so that generating them uses no core during the measurement."""
    draw = random.Random(1)
    items = [f"item-{number:06}" for number in range(100_000)]
    with open(os.path.join(options.demo, "interactions.tsv"), encoding="utf-8") as file:
        items += [text.split("\t")[1] for text in file.readlines()[1:]]
    # Enough for every round, because duplicates would be counted but not stored.
    options.events = int(options.ingest * (options.seconds + 4) * options.rounds)
    made = iter(["".join(lines) for lines in bodies(options, draw, items)])
    server = Server(options, options.demo, os.path.join(folder, "users"))
    load(options, server.port)
    is_over, state = threading.Event(), {}

    def send():
        sender = http.client.HTTPConnection("127.0.0.1", server.port)
        begin, sent = time.monotonic(), 0
        while not is_over.is_set() and (body := next(made, None)):
            sender.request("POST", "/events", body, {"Content-Type": "application/x-ndjson"})
            reply = sender.getresponse()
            text = reply.read()
            assert reply.status == 200, text
            sent += 1
            time.sleep(max(0, begin + sent * options.call / options.ingest - time.monotonic()))
        state["rate"] = sent * options.call / (time.monotonic() - begin)

    for _ in range(options.rounds):
        alone = load(options, server.port)
        is_over.clear()
        thread = threading.Thread(target=send)
        thread.start()
        time.sleep(1)
        beside = load(options, server.port)
        is_over.set()
        thread.join()
        print(f"recommendations at {options.rate}/s: p50 {alone['p50']:.2f} ms, p99 {alone['p99']:.2f} ms alone", end="; ")
        print(f"with {state['rate']:,.0f} events/s p50 {beside['p50']:.2f} ms, p99 {beside['p99']:.2f} ms", end=": ")
        print(f"x{beside['p99'] / alone['p99']:.2f}", flush=True)


def returning(options, folder):
    # This bundle's item ids are row numbers.
    draw = random.Random(1)
    length = options.length
    for dtype in options.dtypes.split(","):
        server = Server(options, options.bundle, os.path.join(folder, dtype), ENGINE_DTYPE=dtype)
        whole, more, sent = [], [], []
        for user in range(options.visitors):
            items = [str(1 + int(draw.random() * 7_000)) for _ in range(length + 1)]
            server.add(line(user, item, 1_700_000_000 + 60 * at) for at, item in enumerate(items[:length]))
            call = {"user_id": f"user-{user}", "request_time": 1_700_000_000 + 60 * (length + 1)}
            seconds, reply = server.recommend(**call)
            assert reply["history_source"] == "store" and reply["history_cached"] == 0, reply
            whole.append(seconds)
            event = {"item": items[length], "timestamp": 1_700_000_000 + 60 * length, "action": "click"}
            seconds, reply = server.recommend(**call, events=[event], store=True)
            assert reply["history_used"] == length + 1 and reply["history_cached"] >= length - 1, reply
            more.append(seconds)
            seconds, reply = server.recommend(**call)
            sent.append(seconds)
        a, b = statistics.median(whole), statistics.median(more)
        print(f"{dtype}: {length} events by name, the whole {a * 1e3:.1f} ms, one more {b * 1e3:.3f} ms: x{a / b:.0f}; "
              f"asked again {statistics.median(sent) * 1e3:.3f} ms", flush=True)
        server.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("genrec")
    parser.add_argument("case", choices=["scale", "ingest", "returning"])
    parser.add_argument("--demo", default="Config/demo")
    parser.add_argument("--bundle", default=".build/kuairand")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--call", type=int, default=1_000, help="events a call")
    parser.add_argument("--ingest", type=float, default=100_000, help="events a second beside recommendations")
    parser.add_argument("--rate", type=float, default=100, help="recommendations a second")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--visitors", type=int, default=10)
    parser.add_argument("--length", type=int, default=2_047)
    parser.add_argument("--dtypes", default="f32,bf16")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        globals()[options.case](options, folder)


if __name__ == "__main__":
    main()
