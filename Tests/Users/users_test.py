#!/usr/bin/env python3
"""The user store in real Redis servers: a single one, one with a password and TLS, and a cluster in which a slot moves and a node is
killed under load. `make users-test` runs it; it fails if an answer is wrong or an acknowledged event is lost.

Uses only the standard library, redis-server, redis-cli and openssl. Everything runs on 127.0.0.1.
"""

import argparse
import atexit
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ITEMS = [f"anime-4-0{number}" for number in range(1, 7)]


def fail(text):
    sys.exit(f"users-test: {text}")


def expect(condition, text):
    if not condition:
        fail(text)


def wait(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < end, f"waited {seconds} s for: {what}")
        time.sleep(0.05)


def free_ports(count):
    """Ports that were free a moment ago, and whose cluster bus ports are valid, too."""
    sockets, ports = [], []
    while len(ports) < count:
        each = socket.socket()
        each.bind(("127.0.0.1", 0))
        sockets.append(each)
        port = each.getsockname()[1]
        if port < 55000:
            ports.append(port)
    for each in sockets:
        each.close()
    return ports


CHILDREN = []


def end_children():
    for process in CHILDREN:
        if process.poll() is None:
            process.kill()


atexit.register(end_children)


class Redis:
    def __init__(self, folder, port, *options, client=()):
        self.folder, self.port, self.options, self.client = os.path.join(folder, str(port)), port, options, client
        os.makedirs(self.folder, exist_ok=True)
        self.start()

    def start(self):
        port = [] if "--tls-port" in self.options else ["--port", str(self.port)]
        self.process = subprocess.Popen(
            ["redis-server", *port, "--bind", "127.0.0.1", "--dir", self.folder, "--appendonly", "yes", *self.options],
            stdout=subprocess.DEVNULL,
        )
        CHILDREN.append(self.process)
        wait(lambda: self.cli("ping", check=False).strip() == "PONG", f"redis on {self.port}")

    def cli(self, *words, check=True):
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *self.client, *words], capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            fail(f"redis-cli {words}: {done.stdout} {done.stderr}")
        return done.stdout

    def kill(self):
        self.process.kill()
        self.process.wait()


class Genrec:
    def __init__(self, options, url, **environment):
        (self.port,) = free_ports(1)
        self.process = subprocess.Popen(
            [options.genrec, "serve", "--bundle", options.bundle, "--listen", f"127.0.0.1:{self.port}"],
            env=dict(
                os.environ,
                GENREC_USERS_STORE="redis",
                GENREC_USERS_REDIS_URL=url,
                GENREC_USERS_REDIS_TIMEOUT_MS="500",
                GENREC_LOG_LEVEL="warning",
                **environment,
            ),
            stdout=subprocess.DEVNULL,
        )
        CHILDREN.append(self.process)
        wait(lambda: self.ask("GET", "/health/ready")[0] == 200, "genrec ready")

    def ask(self, method, path, body=None):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            connection.request(
                method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"}
            )
            reply = connection.getresponse()
            text = reply.read()
            connection.close()
            return reply.status, json.loads(text)
        except (OSError, http.client.HTTPException):
            return 0, {}

    def add(self, user, *events):
        return self.ask(
            "POST", "/events", {"events": [{"user_id": user, "item": item, "timestamp": at} for item, at in events]}
        )

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        expect(self.process.wait(60) == 0, "genrec did not end in order")


def check_store(genrec, redis):
    """Events are stored as documented lists, and users by name get the same answers as with their histories."""
    status, reply = genrec.add("u", (ITEMS[0], 10), (ITEMS[1], 30))
    expect((status, reply.get("accepted")) == (200, 2), f"events: {status} {reply}")
    status, reply = genrec.add("u", (ITEMS[2], 20), (ITEMS[0], 10))
    expect((reply.get("accepted"), reply.get("duplicates")) == (1, 1), f"duplicates: {status} {reply}")
    elements = redis.cli("LRANGE", "genrec:u:{u}", "0", "-1").splitlines()
    expect(elements == [f"10\t{ITEMS[0]}\t", f"20\t{ITEMS[2]}\t", f"30\t{ITEMS[1]}\t"], f"list: {elements}")
    expect(int(redis.cli("TTL", "genrec:u:{u}")) > 31_000_000, "no time to live")
    # Another program writes events, late and duplicated.
    for _ in range(2):
        redis.cli("RPUSH", "genrec:u:{u}", f"25\t{ITEMS[3]}\tbuy")
    status, reply = genrec.ask("GET", "/users/u")
    order = [event["item"] for event in reply["events"]]
    expect(order == [ITEMS[0], ITEMS[2], ITEMS[3], ITEMS[1]], f"order: {order}")
    status, named = genrec.ask("POST", "/recommend", {"user_id": "u", "request_time": 100})
    history = {"items": order, "timestamps": [10, 20, 25, 30]}
    status, sent = genrec.ask("POST", "/recommend", {"history": history, "request_time": 100})
    expect(named.get("history_source") == "store" and named["items"] == sent["items"], f"by name: {named} {sent}")
    status, reply = genrec.ask("POST", "/rank", {"user_id": "u", "candidates": ITEMS[:2]})
    expect(status == 200 and reply.get("history_source") == "store", f"rank: {reply}")
    expect(genrec.ask("DELETE", "/users/u")[0] == 200 and genrec.ask("GET", "/users/u")[0] == 404, "deletion")
    expect(redis.cli("EXISTS", "genrec:u:{u}").strip() == "0", "deleted in genrec, not in redis")


def single(options, folder):
    redis = Redis(folder, *free_ports(1))
    genrec = Genrec(options, f"redis://127.0.0.1:{redis.port}")
    check_store(genrec, redis)
    genrec.add("v", (ITEMS[0], 10))
    redis.kill()
    wait(lambda: genrec.ask("GET", "/users/v")[0] == 503, "503 without redis")
    status, reply = genrec.ask("GET", "/health/ready")
    expect((status, reply.get("degraded")) == (200, ["store"]), f"readiness without redis: {reply}")
    history = {"items": ITEMS[:2]}
    expect(genrec.ask("POST", "/recommend", {"history": history})[0] == 200, "a request with its history")
    status, reply = genrec.ask("POST", "/recommend", {"user_id": "v", "fallback": "popularity"})
    expect((status, reply.get("degraded")) == (200, "store"), f"the fallback without redis: {status} {reply}")
    redis.start()
    wait(lambda: genrec.ask("GET", "/users/v")[0] == 200, "redis found again")
    expect("degraded" not in genrec.ask("GET", "/health/ready")[1], "degraded for ever")
    # A server that hangs and keeps its sockets.
    redis.process.send_signal(signal.SIGSTOP)
    start = time.monotonic()
    expect(genrec.ask("GET", "/users/v")[0] == 503 and time.monotonic() - start < 10, "a redis that hangs")
    redis.process.send_signal(signal.SIGCONT)
    wait(lambda: genrec.ask("GET", "/users/v")[0] == 200, "redis goes on")
    genrec.end()
    redis.kill()


def secured(options, folder):
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=users test", "-days", "2")
    openssl("req", *key, "-keyout", "redis.key", "-out", "redis.csr", "-subj", "/CN=redis")
    with open(os.path.join(folder, "names"), "w", encoding="utf-8") as file:
        file.write("subjectAltName=DNS:localhost\n")
    openssl(
        "x509", "-req", "-in", "redis.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", "names", "-out", "redis.pem",
    )
    path = lambda name: os.path.join(folder, name)
    (port,) = free_ports(1)
    redis = Redis(
        folder, port, "--port", "0", "--tls-port", str(port), "--tls-cert-file", path("redis.pem"), "--tls-key-file",
        path("redis.key"), "--tls-ca-cert-file", path("ca.pem"), "--tls-auth-clients", "no", "--requirepass", "a b",
        client=("--tls", "--cacert", path("ca.pem"), "-h", "localhost", "-a", "a b", "--no-auth-warning"),
    )
    genrec = Genrec(options, f"rediss://:a%20b@localhost:{port}", SSL_CERT_FILE=path("ca.pem"))
    check_store(genrec, redis)
    genrec.end()
    for url, trusted, words in [
        (f"rediss://:wrong@localhost:{port}", "ca.pem", "refused the user or the password"),
        (f"rediss://localhost:{port}", "ca.pem", "requires a password"),
        # The certificate is not for this address, and no system authority issued it.
        (f"rediss://:a%20b@127.0.0.1:{port}", "ca.pem", "refuses TLS"),
        (f"rediss://:a%20b@localhost:{port}", "redis.key", "refuses TLS"),
    ]:
        genrec = Genrec(options, url, SSL_CERT_FILE=path(trusted))
        status, reply = genrec.ask("GET", "/users/u")
        expect(status == 503 and words in reply["detail"], f"{words}: {status} {reply}")
        expect("a b" not in reply["detail"] and "wrong" not in reply["detail"], "a password is told")
        genrec.end()
    redis.kill()


class Caller(threading.Thread):
    """Adds events of its own users and reads them back: acknowledged events are present, in order."""

    def __init__(self, genrec, number):
        super().__init__(daemon=True)
        self.genrec, self.number, self.stopped = genrec, number, threading.Event()
        self.known, self.answers, self.lost, self.wrong = {}, {}, 0, []

    def run(self):
        at = 0
        while not self.stopped.is_set():
            at += 1
            user = f"caller-{self.number}-{at % 40}"
            events = self.known.setdefault(user, [])
            status, _ = self.genrec.add(user, (ITEMS[at % len(ITEMS)], at))
            self.answers[status] = self.answers.get(status, 0) + 1
            # An unacknowledged event may or may not be stored.
            events.append((at, status == 200, time.monotonic()))
            status, reply = self.genrec.ask("GET", f"/users/{user}")
            self.answers[status] = self.answers.get(status, 0) + 1
            if status == 200:
                self.compare(user, [event["timestamp"] for event in reply["events"]])

    def compare(self, user, times):
        events = self.known[user]
        possible = [at for at, _, _ in events]
        if times != sorted(set(times)) or not set(times) <= set(possible):
            self.wrong.append((user, times))
        missing = [event for event in events if event[1] and event[0] not in times]
        if missing:
            # A failover loses the events that the replica had not received; Redis promises no more. Each is counted
            # once.
            self.lost += len(missing)
            self.known[user] = [event for event in events if event not in missing]


def cluster(options, folder):
    nodes = [
        Redis(folder, port, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000") for port in free_ports(6)
    ]
    by_port = {node.port: node for node in nodes}
    nodes[0].cli(
        "--cluster", "create", *[f"127.0.0.1:{node.port}" for node in nodes], "--cluster-replicas", "1",
        "--cluster-yes",
    )
    wait(lambda: all("cluster_state:ok" in node.cli("cluster", "info") for node in nodes), "the cluster")
    urls = ",".join(f"redis://127.0.0.1:{node.port}" for node in nodes[:3])
    genrec = Genrec(options, urls)
    genrec.add("u", (ITEMS[0], 10))
    expect(genrec.ask("GET", "/users/u")[0] == 200, "a user in the cluster")
    callers = [Caller(genrec, number) for number in range(4)]
    for caller in callers:
        caller.start()
    time.sleep(2)
    calm = sum((caller.answers.get(503, 0) for caller in callers))

    def slots():
        """The primary of each range: (first, last, port, id)."""
        found = []
        for line in nodes[0].cli("cluster", "nodes").splitlines():
            words = line.split()
            if "master" in words[2] and "fail" not in words[2]:
                port = int(words[1].split("@")[0].rsplit(":", 1)[1])
                for part in words[8:]:
                    if part[0] != "[":
                        first, _, last = part.partition("-")
                        found.append((int(first), int(last or first), port, words[0]))
        return found

    # A slot moves under load, one key after another.
    slot = int(nodes[0].cli("cluster", "keyslot", "genrec:u:{caller-0-1}"))
    ranges = slots()
    source = next(row for row in ranges if row[0] <= slot <= row[1])
    target = next(row for row in ranges if row[2] != source[2])
    by_port[target[2]].cli("cluster", "setslot", str(slot), "importing", source[3])
    by_port[source[2]].cli("cluster", "setslot", str(slot), "migrating", target[3])
    time.sleep(0.5)
    for key in by_port[source[2]].cli("cluster", "getkeysinslot", str(slot), "1000").split("\n"):
        if key:
            by_port[source[2]].cli("migrate", "127.0.0.1", str(target[2]), key, "0", "5000")
            time.sleep(0.2)
    for row in (target, source):
        by_port[row[2]].cli("cluster", "setslot", str(slot), "node", target[3])
    time.sleep(2)
    moved = sum((caller.answers.get(503, 0) for caller in callers)) - calm
    expect(sum(caller.lost for caller in callers) == 0, "events were lost while a slot moved")

    # A primary is killed; its replica takes over.
    victim = next(row for row in slots() if row[2] != nodes[0].port)
    by_port[victim[2]].kill()
    start = time.monotonic()
    wait(lambda: all(row[2] != victim[2] for row in slots()) and len({row[2] for row in slots()}) == 3, "a failover")
    failover = time.monotonic() - start

    def everybody():
        return all(genrec.ask("GET", f"/users/caller-{a}-{b}")[0] == 200 for a in range(4) for b in range(40))

    wait(everybody, "every user after the failover")
    served = time.monotonic() - start
    by_port[victim[2]].start()
    time.sleep(2)
    for caller in callers:
        caller.stopped.set()
    for caller in callers:
        caller.join()
    answers = {}
    for caller in callers:
        expect(not caller.wrong, f"wrong events: {caller.wrong[:3]}")
        for status, count in caller.answers.items():
            answers[status] = answers.get(status, 0) + count
    expect(set(answers) <= {200, 404, 503}, f"answers: {answers}")
    wait(lambda: "degraded" not in genrec.ask("GET", "/health/ready")[1], "all breakers closed")
    print(f"  answers {answers}; 503 while calm {calm}, while a slot moved {moved}")
    print(f"  failover {failover:.1f} s, all users served after {served:.1f} s", end="; ")
    print(f"acknowledged events that the promoted replica did not have: {sum(caller.lost for caller in callers)}")
    expect(calm == 0, "503 while nothing happened")
    genrec.end()
    for node in nodes:
        node.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genrec", required=True)
    parser.add_argument("--bundle", default="Config/demo")
    parser.add_argument("--only", choices=["single", "secured", "cluster"])
    options = parser.parse_args()
    for case in (single, secured, cluster):
        if options.only in (None, case.__name__):
            print(case.__name__, flush=True)
            with tempfile.TemporaryDirectory() as folder:
                case(options, folder)
    print("users-test: all as promised")


if __name__ == "__main__":
    main()
