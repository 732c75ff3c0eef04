#!/usr/bin/env python3
"""The cost of observation: requests per second with the access log at full sampling and with traces of 1 % of the requests, each
relative to a server without either; and the processor time per request over all of the server's threads, in total and in user
mode. A ratio is the median over the rounds of the ratio to the server without either in the same round, because the machine's
speed changes from minute to minute; the other numbers are medians. All servers restart every three rounds, because a process's
placement in memory causes differences of a few per cent. The last server equals the first: its ratios show the noise. If a
server keeps its core busy, its ratios of time and throughput are equal.

    observed.py [GENREC] [ROUNDS] [SECONDS]      default .build/release/genrec, 18 rounds of 1 s

All servers run on one core, the client and the trace collector on another; the servers are measured in turn, forwards and backwards.
All items of the requests are unknown, so the work is only HTTP, JSON and observation: with a model computing, observation's share
is smaller. Needs wrk and a quiet machine. The collector's own cost is not included.
"""

import contextlib
import http.server
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
SERVER_CORE, CLIENT_CORE = os.environ.get("SERVER_CORE", "0"), os.environ.get("CLIENT_CORE", "1")


class Collector(http.server.BaseHTTPRequestHandler):
    """Accepts all requests, and counts their bytes."""

    protocol_version = "HTTP/1.1"
    taken = 0

    def do_POST(self):
        Collector.taken += len(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def start(genrec, environment):
    """Starts a server; returns it, ready, with its address."""
    server = subprocess.Popen(
        ["taskset", "-c", SERVER_CORE, genrec, "serve", "--bundle", str(TOP / "Config/demo"), "--listen", "127.0.0.1:0"],
        env={**os.environ, "GENREC_TELEMETRY_OTLP_ENDPOINT": "", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    line = server.stdout.readline()
    return server, next(word for word in line.replace(",", " ").split() if word.startswith("http://"))


def stop(servers):
    for server, _ in servers.values():
        server.terminate()
        server.wait()


def times(server):
    """Nanoseconds that each thread has run, and seconds of all threads in user mode."""
    folder = pathlib.Path(f"/proc/{server.pid}")
    threads = {}
    for task in (folder / "task").iterdir():
        # A thread may have ended meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            threads[task.name] = int((task / "schedstat").read_text().split()[0])
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return threads, int(fields[11]) / os.sysconf("SC_CLK_TCK")


def ask(server, address, script, seconds):
    """Requests per second, microseconds per request in total and in user mode."""
    before, user = times(server)
    text = subprocess.run(
        ["wrk", "-t1", "-c64", f"-d{seconds}s", "-s", str(script), address + "/recommend"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    after, user_after = times(server)
    count, rate, wrong = next(line for line in text.splitlines() if line.startswith("RESULT")).split()[1:]
    if wrong != "0":
        sys.exit(f"{address}: {wrong} requests did not end with 200")
    spent = sum(time - before.get(thread, 0) for thread, time in after.items())
    return float(rate), spent / 1e3 / int(count), (user_after - user) * 1e6 / int(count)


def main():
    genrec = sys.argv[1] if len(sys.argv) > 1 else str(TOP / ".build/release/genrec")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 18
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    os.sched_setaffinity(0, {int(CLIENT_CORE)})
    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        items = ",".join(f'"unknown-{number:06}"' for number in range(78))
        script = folder / "post.lua"
        script.write_text(
            'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
            f"wrk.body = [[{{\"history\":{{\"items\":[{items}]}},\"k\":10}}]]\n"
            "done = function(summary, latency)\n"
            '    io.write(string.format("RESULT %d %f %d\\n", summary.requests, summary.requests / summary.duration * 1e6,\n'
            "        summary.errors.status))\n"
            "end\n"
        )
        kinds = {
            "not watched": {},
            "access log, text": {"GENREC_LOG_ACCESS": "text", "GENREC_LOG_ACCESS_FILE": str(folder / "text.log")},
            "access log, JSON": {"GENREC_LOG_ACCESS": "json", "GENREC_LOG_ACCESS_FILE": str(folder / "json.log")},
            "traces of 1 %": {
                "GENREC_TELEMETRY_SAMPLE": "0.01",
                "GENREC_TELEMETRY_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            },
            "not watched, again": {},
        }
        results = {kind: [] for kind in kinds}
        servers = {}
        try:
            for turn in range(rounds):
                if turn % 3 == 0:
                    stop(servers)
                    servers = {kind: start(genrec, environment) for kind, environment in kinds.items()}
                for kind in list(kinds) if turn % 2 else reversed(list(kinds)):
                    results[kind].append(ask(*servers[kind], script, seconds))
        finally:
            stop(servers)
        lines = sum(1 for _ in open(folder / "text.log", encoding="utf-8"))
    print(f"{'':20}" + "".join(f"{name:>20} ratio" for name in ("requests/s", "us a request", "us in user mode")))
    for kind, rows in results.items():
        line = f"{kind:20}"
        for number, plain in zip(zip(*rows), zip(*results["not watched"])):
            ratio = statistics.median(one / other for one, other in zip(number, plain))
            line += f"{statistics.median(number):20.1f} {ratio:5.3f}"
        print(line)
    print(f"\n{lines} lines of text written, {Collector.taken} bytes of traces received")


if __name__ == "__main__":
    main()
