"""Clients that know the right answers, and check every reply against them."""

import collections
import http.client
import json
import pathlib
import random
import threading
import time

from server import Server

# The statuses besides 200 that API.md documents for POST /recommend and that valid requests can get.
DOCUMENTED = {401, 408, 429, 500, 503, 504}


def bodies(state):
    """Requests with items of the demo's catalogue, the same for every bundle."""
    generator = random.Random()
    generator.setstate(state)
    catalogue = pathlib.Path(__file__).resolve().parent.parent.parent / "Config/demo/catalogue.jsonl"
    items = [json.loads(line)["id"] for line in catalogue.read_text().splitlines()]
    requests = []
    for _ in range(60):
        count = generator.choice([0, 1, 3, 10, 30, 60])
        request = {
            "history": {
                "items": generator.sample(items, count),
                "timestamps": [1_700_000_000 + 3_600 * index for index in range(count)],
            },
            "request_time": 1_700_900_000,
            "k": generator.choice([1, 5, 50]),
            "deadline_ms": 20_000,
        }
        if generator.random() < 0.2:
            request["exclude"] = {"items": generator.sample(items, 20)}
        requests.append(json.dumps(request))
    return requests


def answers(binary, bundle, folder, state):
    """The items of each request, from an undisturbed server."""
    place = folder / f"calm-{pathlib.Path(bundle).name}"
    place.mkdir()
    server = Server(binary, {"1": bundle}, place)
    server.start()
    known = {}
    for body in bodies(state):
        status, reply = server.request("POST", "/recommend", body)
        if status != 200:
            raise SystemExit(f"a calm server answers {status}: {reply[:300]}")
        known[body] = json.loads(reply)["items"]
    server.stop()
    return known


class Clients:
    """Threads that send requests until they are stopped."""

    def __init__(self, known, count, seed):
        self.known, self.count = known, count
        self.counts = collections.Counter()
        self.faults = []
        # While true, lost connections are expected.
        self.may_lose = False
        self.server = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = []
        self._seed = seed

    def start(self, server):
        self.server = server
        for index in range(self.count):
            thread = threading.Thread(target=self._run, args=(random.Random(f"{self._seed}-{index}"),), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            if thread.is_alive():
                self.fault("a client has waited for a reply for a minute")

    def fault(self, sentence):
        with self._lock:
            self.faults.append(sentence)

    def calm(self, server):
        """Checks that every request is answered correctly again after the misfortune."""
        self.may_lose = False
        server.wait_until_ready()
        for body in list(self.known["1"])[:20]:
            for attempt in range(20):
                status, reply = server.request("POST", "/recommend", body)
                if status in (429, 503) and attempt < 19:
                    time.sleep(0.1)
                    continue
                if status != 200:
                    self.fault(f"afterwards a request was answered with {status}: {reply[:200]}")
                else:
                    self.check(body, reply)
                break

    def check(self, body, reply):
        try:
            reply = json.loads(reply)
            version = reply["model"]["version"]
            if reply["items"] != self.known[version][body]:
                self.fault(f"version {version} answered {reply['items'][:2]}, not {self.known[version][body][:2]}")
        except (ValueError, KeyError) as error:
            self.fault(f"a reply that cannot be read ({error}): {reply[:200]}")

    def _run(self, generator):
        connection = None
        all_bodies = list(self.known["1"])
        while not self._stopping.is_set():
            body = generator.choice(all_bodies)
            may_lose = self.may_lose
            outcome = "lost"
            try:
                connection = connection or self.server.connection()
                connection.request("POST", "/recommend", body, self.server.headers())
                reply = connection.getresponse()
                data = reply.read()
                outcome = str(reply.status)
                if reply.status == 200:
                    self.check(body, data)
                elif reply.status not in DOCUMENTED:
                    self.fault(f"status {reply.status}: {data[:200]}")
                elif "problem+json" not in (reply.getheader("Content-Type") or ""):
                    self.fault(f"status {reply.status} without a problem: {data[:200]}")
                if reply.getheader("Connection") == "close" or generator.random() < 0.02:
                    connection.close()
                    connection = None
                if reply.status in (429, 503):
                    time.sleep(0.02)
            except (OSError, http.client.HTTPException) as error:
                if connection:
                    connection.close()
                connection = None
                if isinstance(error, TimeoutError) or not (may_lose or self.may_lose):
                    self.fault(f"a connection was lost: {type(error).__name__} {error}")
                time.sleep(0.02)
            with self._lock:
                self.counts[outcome] += 1
