#!/usr/bin/env python3
"""Three genrec servers behind HAProxy on this machine: how much of users' state is found again, a rolling restart under
load, and a server that is killed. `make fleet-test` runs it; it prints what it measured and fails where a bound is missed.

Only the standard library is used. Requests go to 127.0.0.1.
"""

import argparse
import collections
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = os.path.join(HERE, "..", "haproxy", "haproxy.cfg")
CALLERS = 6
SEED = 7


def free_ports(count):
    """Distinct ports that were free a moment ago: all are held until the last one is known."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def histories(path, shortest):
    """Each user's items in time order."""
    with open(path, encoding="utf-8") as file:
        names = [name.split(":")[0] for name in file.readline().rstrip("\n").split("\t")]
        user, item, when = (
            next(index for index, name in enumerate(names) if name in options)
            for options in (("user", "user_id"), ("item", "item_id"), ("timestamp",))
        )
        events = collections.defaultdict(list)
        for line in file:
            fields = line.rstrip("\n").split("\t")
            events[fields[user]].append((int(float(fields[when])), fields[item]))
    users = {}
    for name, rows in events.items():
        rows.sort(key=lambda row: row[0])
        if len(rows) >= shortest:
            users[name] = rows
    return users


def ready(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False


class Server:
    def __init__(self, options, port, cache_bytes, **settings):
        self.options, self.port, self.cache_bytes, self.settings = options, port, cache_bytes, settings
        self.start()

    def start(self):
        environment = dict(
            os.environ,
            GENREC_CACHE_BYTES=str(self.cache_bytes),
            GENREC_DRAIN_DELAY_MS="2000",
            GENREC_ENGINE_THREADS="1",
            GENREC_LOG_LEVEL="warning",
            **self.settings,
        )
        self.process = subprocess.Popen(
            [self.options.genrec, "serve", "--bundle", self.options.bundle, "--listen", f"127.0.0.1:{self.port}"],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        wait(lambda: ready(self.port), f"server on {self.port} ready")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(60)


def wait(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"fleet-test: waited {seconds} s for: {what}")
        time.sleep(0.02)


class Balancer:
    """HAProxy with the deployed file, optionally with another balancing rule or without the bound on load."""

    def __init__(self, options, folder, servers, rule=None, is_bounded=True):
        self.port, metrics = free_ports(2)
        self.socket = os.path.join(folder, f"haproxy-{self.port}.sock")
        with open(CONFIG, encoding="utf-8") as file:
            text = file.read()
        if rule:
            lines = text.split("\n")
            lines = [
                f"    balance {rule}" if line.startswith("    balance ") else line
                for line in lines
                if not line.startswith(("    hash-type", "    hash-balance-factor"))
            ]
            text = "\n".join(lines)
        if not is_bounded:
            text = text.replace("    hash-balance-factor", "    #")
        path = os.path.join(folder, f"haproxy-{self.port}.cfg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        environment = dict(
            os.environ,
            GENREC_LISTEN=f"127.0.0.1:{self.port}",
            GENREC_HAPROXY_METRICS=f"127.0.0.1:{metrics}",
            GENREC_HAPROXY_SOCKET=self.socket,
            **{f"GENREC_{index + 1}": f"127.0.0.1:{server.port}" for index, server in enumerate(servers)},
        )
        log = open(os.path.join(folder, f"haproxy-{self.port}.log"), "w", encoding="utf-8")
        self.process = subprocess.Popen([options.haproxy, "-db", "-f", path], env=environment, stdout=log, stderr=log)
        wait(lambda: ready(self.port), "HAProxy")
        wait(lambda: self.states() == ["UP"] * len(servers), "all servers up")

    def states(self):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self.socket)
            connection.sendall(b"show stat\n")
            text = b""
            while piece := connection.recv(65536):
                text += piece
        except OSError:
            return []
        finally:
            connection.close()
        rows = [line.split(",") for line in text.decode().split("\n")]
        return [row[17] for row in rows if row[0] == "genrec" and row[1].startswith("genrec")]

    def end(self):
        self.process.terminate()
        self.process.wait(30)


class Caller:
    """A client with one connection at a time, to one of several ports, kept open between requests."""

    def __init__(self, ports, seed):
        self.ports, self.random, self.connection = ports, random.Random(seed), {}

    def recommend(self, user, events):
        body = json.dumps(
            {
                "user_id": user,
                "history": {"items": [item for _, item in events], "timestamps": [when for when, _ in events]},
                "request_time": events[-1][0] + 60,
                "k": 10,
            }
        )
        return self.post("/recommend", user, body)

    def post(self, path, user, body):
        port = self.random.choice(self.ports)
        connection = self.connection.pop(port, None) or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"Content-Type": "application/json", "X-User-Id": user}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        reply = response.read()
        if not response.will_close:
            self.connection[port] = connection
        if response.status != 200:
            raise OSError(f"status {response.status}: {reply[:200]!r}")
        return json.loads(reply)


def visits(users, count):
    """The visits: users drawn by a Zipf law, each time with the next events of their history."""
    draw = random.Random(SEED)
    names = sorted(users)
    draw.shuffle(names)
    weights = [1 / (rank + 3) for rank in range(len(names))]
    lengths = {name: max(2, len(users[name]) // 2) for name in names}
    for name in draw.choices(names, weights, k=count):
        yield name, users[name][: lengths[name]]
        lengths[name] = min(len(users[name]), lengths[name] + draw.randint(1, 3))


def drive(ports, plan):
    """Makes the visits, those of one user in order. Returns the events used and the events found in a cache."""
    queues = [[] for _ in range(CALLERS)]
    for name, events in plan:
        queues[hash_of(name) % CALLERS].append((name, events))
    used, cached = [0] * CALLERS, [0] * CALLERS

    def run(index):
        caller = Caller(ports, index)
        for name, events in queues[index]:
            reply = caller.recommend(name, events)
            used[index] += reply["history_used"]
            cached[index] += reply["history_cached"]

    threads = [threading.Thread(target=run, args=(index,)) for index in range(CALLERS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sum(used), sum(cached)


def drive_by_name(port, plan):
    """Makes the visits with histories stored by the servers: sends new events, then a request with only the user's name. Returns
    the events used, those that should have been, those found in a cache, and the requests' durations in milliseconds."""
    queues = [[] for _ in range(CALLERS)]
    for name, events in plan:
        queues[hash_of(name) % CALLERS].append((name, events))
    results = [[] for _ in range(CALLERS)]

    def run(index):
        caller, told = Caller([port], index), collections.Counter()
        for name, events in queues[index]:
            # A different action each, so that duplicates in the data set count twice.
            new = [
                {"user_id": name, "item": item, "timestamp": when, "action": str(told[name] + place)}
                for place, (when, item) in enumerate(events[told[name] :])
            ]
            told[name] = len(events)
            caller.post("/events", name, json.dumps({"events": new}))
            start = time.monotonic()
            reply = caller.post(
                "/recommend", name, json.dumps({"user_id": name, "request_time": events[-1][0] + 60, "k": 10})
            )
            seconds = time.monotonic() - start
            results[index].append((reply["history_used"], len(events), reply["history_cached"], seconds * 1e3))

    threads = [threading.Thread(target=run, args=(index,)) for index in range(CALLERS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return [row for rows in results for row in rows]


def hash_of(name):
    return sum(name.encode()) * 2654435761 % (1 << 32)


def keeping(options):
    """The model's window, and the bytes that it caches per event."""
    (port,) = free_ports(1)
    server = Server(options, port, 1 << 28)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/models")
    text = connection.getresponse().read().decode()
    server.end()
    models = json.loads(text)
    found = [number for number in find(models, "bytes_per_event") if number]
    if not found:
        sys.exit(f"fleet-test: the model of {options.bundle} keeps no state: {text}")
    return next(find(models, "window")), found[0]


def find(value, key):
    if isinstance(value, dict):
        for name, each in value.items():
            if name == key:
                yield each
            yield from find(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from find(each, key)


class Report:
    def __init__(self):
        self.rows, self.failed = [], False

    def say(self, what, value, bound=None, holds=True):
        self.failed |= not holds
        mark = "" if bound is None else ("  ok" if holds else "  MISSED")
        print(f"{what:58} {value:>12}  {bound or ''}{mark}", flush=True)


def affinity(options, folder, users, report):
    """The share of events found in caches: one server with the whole cache, three behind the balancer, and counterexamples."""
    plan = list(visits(users, options.requests))
    window, size = keeping(options)
    working_set = sum(min(len(events), window) for events in users.values()) * size
    total = int(working_set * options.cache_share)
    print(f"{len(users)} users, {len(plan)} requests, {size} bytes an event, cache {total >> 10} KiB in all")

    def measure(name, count, rule):
        servers = [Server(options, port, total // count) for port in free_ports(count)]
        balancer = Balancer(options, folder, servers, rule) if rule != "none" and count > 1 else None
        ports = [balancer.port] if balancer else [server.port for server in servers]
        used, cached = drive(ports, plan)
        for each in servers:
            each.process.kill()
            each.process.wait()
        if balancer:
            balancer.end()
        return cached / used

    one = measure("one", 1, "none")
    report.say("events found: one server with all the cache", f"{one:.3f}")
    hashed = measure("hash", 3, None)
    ratio = hashed / one
    report.say("events found: three behind HAProxy, by user", f"{hashed:.3f}")
    report.say("  as a share of one server's", f"{ratio:.3f}", ">= 0.95", ratio >= 0.95)
    turns = measure("round robin", 3, "roundrobin")
    report.say("events found: three behind HAProxy, in turns", f"{turns:.3f}")
    spread = measure("no balancer", 3, "none")
    report.say("events found: three, callers choose at random", f"{spread:.3f}")
    return {
        "one": one,
        "hashed": hashed,
        "round_robin": turns,
        "random": spread,
        "requests": len(plan),
        "cache_bytes": total,
        "bytes_per_event": size,
        "window": window,
    }


def by_name(options, folder, users, report):
    """Histories stored by the servers: local stores behind the ring, and one Redis behind round-robin."""
    plan = list(visits(users, options.requests))
    window, size = keeping(options)
    working_set = sum(min(len(events), window) for events in users.values()) * size
    cache = int(working_set * options.cache_share) // 3
    measured = {}

    def measure(name, what, rule, is_bounded, settings):
        servers = [
            Server(options, port, cache, **settings(os.path.join(folder, f"users-{index}")))
            for index, port in enumerate(free_ports(3))
        ]
        balancer = Balancer(options, folder, servers, rule, is_bounded)
        rows = drive_by_name(balancer.port, plan)
        for each in servers:
            each.process.kill()
            each.process.wait()
        balancer.end()
        times = sorted(row[3] for row in rows)
        known = sum(row[0] == min(row[1], window) for row in rows) / len(rows)
        found = sum(row[2] for row in rows) / sum(row[0] for row in rows)
        p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
        report.say(f"by name, {what}: whole histories", f"{known:.4f}", "1", known == 1)
        report.say(f"by name, {what}: events found", f"{found:.3f}")
        report.say(f"by name, {what}: p50 / p99 ms", f"{p50:.2f} / {p99:.2f}")
        measured[name] = {"found": found, "p50_ms": p50, "p99_ms": p99}

    def local(path):
        return {"GENREC_USERS_STORE": "local", "GENREC_USERS_LOCAL_DIRECTORY": path}

    measure("local", "own stores, ring", None, False, local)
    (port,) = free_ports(1)
    redis = subprocess.Popen(
        [options.redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "redis")
        shared = {
            "GENREC_USERS_STORE": "redis",
            "GENREC_USERS_REDIS_URL": f"redis://127.0.0.1:{port}",
            # Everything here shares a few cores.
            "GENREC_USERS_REDIS_TIMEOUT_MS": "1000",
        }

        def in_redis(prefix):
            return lambda _: dict(shared, GENREC_USERS_REDIS_PREFIX=prefix)

        measure("redis_turns", "Redis, in turns", "roundrobin", True, in_redis("a:"))
        measure("redis_ring", "Redis, ring", None, True, in_redis("b:"))
    finally:
        redis.kill()
        redis.wait()
    return measured


class Load:
    """Callers that run until stopped and record failures."""

    def __init__(self, port, users):
        self.users, self.port = users, port
        self.is_over, self.answered, self.faults = threading.Event(), 0, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(index,)) for index in range(CALLERS)]
        for each in self.threads:
            each.start()

    def run(self, index):
        caller = Caller([self.port], index)
        names = sorted(self.users)
        draw = random.Random(index)
        while not self.is_over.is_set():
            name = draw.choice(names)
            try:
                caller.recommend(name, self.users[name])
                with self.lock:
                    self.answered += 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                with self.lock:
                    self.faults.append(repr(error))

    def end(self):
        self.is_over.set()
        for each in self.threads:
            each.join()


def restart(options, folder, users, report):
    servers = [Server(options, port, 1 << 28) for port in free_ports(3)]
    balancer = Balancer(options, folder, servers)
    load = Load(balancer.port, users)
    for index, server in enumerate(servers):
        server.end()
        server.start()
        wait(lambda: balancer.states() == ["UP"] * 3, f"server {index + 1} up again")
    load.end()
    for fault in load.faults[:5]:
        print("   ", fault)
    report.say("rolling restart: requests answered", load.answered)
    report.say("rolling restart: requests failed", len(load.faults), "0", not load.faults)
    return servers, balancer


def kill(servers, balancer, users, report):
    names = sorted(users)
    plan = [(name, users[name]) for name in names]
    drive([balancer.port], plan)
    load = Load(balancer.port, users)
    wait(lambda: load.answered > 50, "load")
    servers[0].process.kill()
    servers[0].process.wait()
    wait(lambda: balancer.states().count("UP") == 2, "the killed server out")
    load.end()
    for fault in load.faults[:5]:
        print("   ", fault)
    report.say("killed: requests failed", len(load.faults), f"<= {CALLERS}", len(load.faults) <= CALLERS)
    # Other servers have seen the killed server's users meanwhile, so the share is computed from its ring.
    return balancer


def moved(options, folder, users, report):
    """The share of users to compute anew after one of three servers is gone."""
    servers = [Server(options, port, 1 << 28) for port in free_ports(3)]
    balancer = Balancer(options, folder, servers)
    plan = [(name, users[name]) for name in sorted(users)]
    drive([balancer.port], plan)
    servers[0].process.kill()
    servers[0].process.wait()
    wait(lambda: balancer.states().count("UP") == 2, "the killed server out")
    caller = Caller([balancer.port], 0)
    anew = sum(caller.recommend(name, events)["history_cached"] == 0 for name, events in plan)
    share = anew / len(plan)
    report.say("killed: share of users computed anew", f"{share:.3f}", "<= 0.383", share <= 1 / 3 + 0.05)
    for each in servers[1:]:
        each.process.kill()
        each.process.wait()
    balancer.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genrec", required=True)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--interactions", required=True)
    parser.add_argument("--haproxy", default="haproxy")
    parser.add_argument("--redis", default="redis-server")
    parser.add_argument("--only", choices=["by-name"], help="this part alone")
    parser.add_argument("--requests", type=int, default=6_000)
    parser.add_argument("--cache-share", type=float, default=0.35, help="cache as a share of what all users need")
    parser.add_argument("--json", help="file for what was measured")
    options = parser.parse_args()
    users = histories(options.interactions, 6)
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        if options.only:
            by_name(options, folder, users, report)
            sys.exit(1 if report.failed else 0)
        measured = affinity(options, folder, users, report)
        measured["by_name"] = by_name(options, folder, users, report)
        servers, balancer = restart(options, folder, users, report)
        kill(servers, balancer, users, report)
        for each in servers[1:]:
            each.process.kill()
            each.process.wait()
        balancer.end()
        moved(options, folder, users, report)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(measured, file, indent=1)
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
