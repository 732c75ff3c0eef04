#!/usr/bin/env python3
"""A server's latency for a client with a steady rate, measured by `genrec load` from the moment at which a request was due. All items of
the requests are unknown, so a genrec server answers without computing.

    latency.py GENREC PORT REQUESTS-PER-SECOND CONNECTIONS SECONDS

Prints one line: p50, p90, p99 and max in microseconds, and the number of requests without a 200.
"""

import json
import subprocess
import sys
import tempfile

# Makes a request of about 1.4 kB.
EVENTS = 39


def latency(genrec, port, rate, connections, seconds):
    """(p50, p90, p99, max) in microseconds, and the number of requests without a 200."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        file.write("user\titem\ttimestamp\n")
        # One more, because the last event of a user is the one to predict.
        for event in range(EVENTS + 1):
            file.write(f"u\tunknown-{event:06}\t{1_700_000_000 + event}\n")
        file.flush()
        run = subprocess.run(
            [genrec, "load", "--url", f"http://127.0.0.1:{port}", "--interactions", file.name, "--rate", str(rate)]
            + ["--max-connections", str(connections), "--seconds", str(seconds), "--json"],
            check=True,
            capture_output=True,
            text=True,
        )
    sys.stderr.write(run.stderr)
    report = json.loads(run.stdout)
    micros = [round(report["latency_ms"][name] * 1000) for name in ("p50", "p90", "p99", "max")]
    return micros, report["requests"]["begun"] - report["statuses"].get("200", 0)


if __name__ == "__main__":
    micros, wrong = latency(sys.argv[1], *sys.argv[2:6])
    print(*micros, wrong)
