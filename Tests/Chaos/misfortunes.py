"""Misfortunes of a server. Each function starts the server and the clients, causes the misfortune for the given seconds, undoes it,
and returns a note of its actions."""

import hashlib
import http.client
import json
import os
import pathlib
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

from bundles import INVALID, VALID


def kill_and_restart(server, clients, seconds, generator):
    """kill -9 under load, repeatedly. Only requests in flight may be lost."""
    server.start()
    clients.start(server)
    end, kills = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        time.sleep(generator.uniform(0.2, 3))
        clients.may_lose = True
        server.kill()
        kills += 1
        server.start()
        clients.may_lose = False
    return f"{kills} times killed and started again"


def stop_and_continue(server, clients, seconds, generator):
    """SIGSTOP for five seconds, like a paused machine or a debugger."""
    server.start()
    clients.start(server)
    end, pauses = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        time.sleep(generator.uniform(0.5, 3))
        server.signal(signal.SIGSTOP)
        time.sleep(5)
        server.signal(signal.SIGCONT)
        pauses += 1
    return f"{pauses} times stopped for 5 s"


def full_disk(server, clients, seconds, generator):
    """Every write of the log fails for lack of space."""
    server.environment["GENREC_LOG_LEVEL"] = "debug"
    server.error_path = pathlib.Path("/dev/full")
    server.start()
    clients.start(server)
    time.sleep(seconds)
    metrics = server.request("GET", "/metrics")[1].decode()
    dropped = metric(metrics, "genrec_log_dropped_total")
    if not dropped:
        clients.fault("the log could not be written, and nothing was counted as dropped")
    return f"{dropped:.0f} log lines dropped and counted"


def few_descriptors(server, clients, seconds, generator):
    """Idle connections use up all descriptors; further clients are refused until the idle ones close."""
    server.start()
    clients.start(server)
    limit = len(os.listdir(f"/proc/{server.process.pid}/fd")) + 20
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    end, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        clients.may_lose = True
        crowd = [connect(server) for _ in range(200)]
        time.sleep(generator.uniform(0.5, 3))
        for one in crowd:
            one.close()
        rounds += 1
        time.sleep(generator.uniform(0.5, 2))
        server.wait_until_ready()
        clients.may_lose = False
        time.sleep(0.5)
    return f"{rounds} crowds of 200 at a limit of {limit} descriptors"


def clock_set_back(server, clients, seconds, generator):
    """The wall clock jumps back and forth by up to a day; time-outs use the monotonic clock."""
    place = server.folder
    library = place / "clock.so"
    source = pathlib.Path(__file__).with_name("clock.c")
    compiler = os.environ.get("CC", "clang")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    offset = place / "offset"
    offset.write_bytes(struct.pack("@l", 0))
    server.environment |= {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(offset)}
    server.start()
    clients.start(server)
    end, jumps = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        with open(offset, "r+b") as file:
            file.write(struct.pack("@l", generator.randint(-86_400, 86_400)))
        jumps += 1
        time.sleep(generator.uniform(0.2, 2))
    return f"{jumps} jumps"


def little_memory(server, clients, seconds, generator):
    """The process can allocate hardly any more memory. That may end it (a failed allocation in Swift is fatal), and its
    supervisor restarts it. No reply may be wrong."""
    server.start()
    clients.start(server)
    time.sleep(1)
    end, ended = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        size = 1_024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmData")))
        clients.may_lose = True
        limit = size + generator.randint(0, 8 << 20)
        resource.prlimit(server.process.pid, resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
        until = time.monotonic() + generator.uniform(1, 4)
        crowd = [threading.Thread(target=send_large, args=(server, until)) for _ in range(6)]
        for one in crowd:
            one.start()
        for one in crowd:
            one.join()
        if server.process.poll() is not None:
            ended += 1
            server.start()
        resource.prlimit(server.process.pid, resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        clients.may_lose = False
        time.sleep(1)
    return f"ended by it {ended} times"


def vanishing_clients(server, clients, seconds, generator):
    """Some clients send half a request and wait, vanish with a reset, or never read; the others must not notice."""
    server.start()
    clients.start(server)
    request = f"POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n"
    whole = (request + '{"history":[]   }').encode()
    end, unfriendly, held = time.monotonic() + seconds, 0, []
    while time.monotonic() < end:
        one = connect(server)
        if one is None:
            continue
        kind = generator.choice(["slow", "reset", "deaf"])
        try:
            if kind == "slow":
                one.sendall(whole[: generator.randrange(len(whole))])
                held.append(one)
            elif kind == "reset":
                one.sendall(whole * generator.randint(1, 5))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.close()
            else:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
                one.settimeout(0.2)
                one.sendall(whole * 500)
                held.append(one)
        except OSError:
            one.close()
        unfriendly += 1
        if len(held) > 300:
            for other in held[:150]:
                other.close()
            del held[:150]
        time.sleep(generator.uniform(0, 0.02))
    for one in held:
        one.close()
    return f"{unfriendly} unfriendly connections"


def reloads(server, clients, seconds, generator):
    """The link to the bundle is swapped randomly to valid and invalid ones, each followed by a reload."""
    server.start()
    clients.start(server)
    end, good, bad, served = time.monotonic() + seconds, 0, 0, "1"
    while time.monotonic() < end:
        name = generator.choice(generator.choice([VALID, INVALID]))
        server.point_to(name)
        status, reply = server.request("POST", "/admin/reload", "")
        if name in VALID:
            served, good = name, good + 1
            if status != 200:
                clients.fault(f"the reload of a good bundle was answered with {status}: {reply[:200]}")
        else:
            bad += 1
            if status == 200 or not json.loads(reply).get("detail"):
                clients.fault(f"the reload of the bundle {name} was answered with {status}: {reply[:200]}")
        status, reply = server.request("POST", "/recommend", '{"history":[]}')
        version = json.loads(reply)["model"]["version"]
        if version != served:
            clients.fault(f"after a reload of {name}, version {version} is served, not {served}")
        time.sleep(generator.uniform(0, 0.3))
    server.point_to(served)
    return f"{good} good reloads, {bad} bad ones refused"


def versions(server, clients, seconds, generator):
    """Versions of all architectures are loaded next to the served one, get a share of the traffic, and are removed again."""
    server.start()
    clients.start(server)
    model = json.loads(server.request("GET", "/models")[1])["models"][0]["name"]

    def expect(wanted, method, path, content=None):
        for _ in range(100):
            status, reply = server.request(method, path, content and json.dumps(content))
            # A removed version stays known until its last request has ended and its memory is freed.
            if status != 409:
                break
            time.sleep(0.05)
        if status != wanted:
            clients.fault(f"{method} {path} was answered with {status}: {reply[:200]}")

    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        others = generator.sample(VALID[1:], generator.choice([1, 2, 3]))
        for version in others:
            expect(201, "POST", "/admin/models", {"bundle": server.bundles[version]})
        shares = dict.fromkeys(["1", *others], 100 // (1 + len(others)))
        shares["1"] += 100 - sum(shares.values())
        expect(200, "PUT", f"/admin/routing/{model}", {"split": shares, "shadow": {others[0]: 50}})
        time.sleep(generator.uniform(0, 0.5))
        expect(200, "PUT", f"/admin/routing/{model}", {"split": {"1": 100}})
        for version in others:
            expect(200, "DELETE", f"/admin/models/{model}/{version}")
        count += len(others)
    return f"{count} versions came and went"


def keys_and_certificates(server, clients, seconds, generator):
    """API keys and certificates are replaced by valid and invalid files, each with a SIGHUP. Invalid ones must not take effect."""
    place = server.folder
    keys, certificate, key = place / "keys", place / "cert.pem", place / "key.pem"
    authority = place / "authority.pem"
    server.key = "right"
    good_keys = [digest("right", "admin") + digest(other, "recommend") for other in ("a", "b", "c")]
    keys.write_text(good_keys[0])
    pairs = [make_certificate(place, str(number)) for number in range(3)]
    authority.write_bytes(b"".join(one.read_bytes() for one, _ in pairs))
    install(pairs[0], certificate, key)
    server.tls = authority
    server.environment["GENREC_AUTH_KEYS_FILE"] = str(keys)
    server.arguments = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    server.start()
    clients.start(server)
    end, swaps = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        what = generator.choice(["keys", "bad keys", "no keys", "pair", "bad pair", "half"])
        if what == "keys":
            replace(keys, generator.choice(good_keys).encode())
        elif what == "bad keys":
            replace(keys, b"not a key file\n")
        elif what == "no keys":
            keys.unlink(missing_ok=True)
        elif what == "pair":
            install(generator.choice(pairs), certificate, key)
        elif what == "bad pair":
            install((pairs[0][0], pairs[1][1]), certificate, key)
        else:
            replace(certificate, pairs[0][0].read_bytes()[:300])
        server.signal(signal.SIGHUP)
        swaps += 1
        time.sleep(generator.uniform(0.05, 0.5))
        status, _ = server.request("POST", "/recommend", '{"history":[]}', {"Authorization": "Bearer wrong"})
        if status != 401:
            clients.fault(f"a wrong key was answered with {status}")
    replace(keys, good_keys[0].encode())
    install(pairs[0], certificate, key)
    server.signal(signal.SIGHUP)
    return f"{swaps} files replaced"


MISFORTUNES = [
    kill_and_restart,
    stop_and_continue,
    full_disk,
    few_descriptors,
    clock_set_back,
    little_memory,
    vanishing_clients,
    reloads,
    versions,
    keys_and_certificates,
]


def connect(server):
    """A connection, or a stand-in if connecting fails."""
    try:
        return socket.create_connection(("127.0.0.1", server.port), timeout=1)
    except OSError:
        return Closed()


class Closed:
    """A stand-in for a failed connection."""

    def close(self):
        pass

    def sendall(self, data):
        raise OSError

    def setsockopt(self, *arguments):
        pass

    def settimeout(self, seconds):
        pass


def send_large(server, until):
    """Sends requests that need much memory: more events than a history may have, in a body of the maximum size."""
    items = ",".join(['"' + "x" * 40 + '"'] * 180_000)
    while time.monotonic() < until and server.process.poll() is None:
        try:
            server.request("POST", "/recommend", '{"history":{"items":[' + items + "]}}")
        except (OSError, http.client.HTTPException):
            pass


def metric(text, name):
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def digest(key, role):
    return f"{hashlib.sha256(key.encode()).hexdigest()} {role}\n"


def make_certificate(place, name):
    certificate, key = place / f"{name}.pem", place / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        + ["-subj", f"/CN=chaos-{name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return certificate, key


def install(pair, certificate, key):
    replace(key, pair[1].read_bytes())
    replace(certificate, pair[0].read_bytes())


def replace(path, data):
    """Replaces a file by renaming a new one, as careful operators do."""
    spare = path.with_suffix(".new")
    spare.write_bytes(data)
    os.replace(spare, path)
