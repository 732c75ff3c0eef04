#!/usr/bin/env python3
"""Disturbs a running server in every way that occurs in operation, and checks every reply meanwhile.

    Tests/Chaos/chaos.py [--seconds N] [--only NAME] [--seed N] [--binary PATH]

Clients send requests whose answers are known, while the server suffers one misfortune after another (`misfortunes.py`).
The invariant: a reply is correct to the bit, for the model version that it names, or a problem with a documented status;
and connections are lost only if the misfortune explains it. After a misfortune, the server answers again. Prints a table
of the misfortunes and the losses, and exits with status 1 if the invariant was violated.

Needs Linux, Python 3.9, a release build, openssl for certificates and a C compiler for the clock. Takes --seconds, ten
minutes by default.
"""

import argparse
import collections
import itertools
import json
import pathlib
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bundles import VALID, make_bundles
from clients import Clients, answers
from misfortunes import MISFORTUNES
from server import Server

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--only", choices=[misfortune.__name__ for misfortune in MISFORTUNES])
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--binary", default=str(TOP / ".build/release/genrec"))
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    generator = random.Random(options.seed)
    chosen = [one for one in MISFORTUNES if options.only in (None, one.__name__)]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="genrec-chaos-"))
    rows, broken = [], []
    try:
        bundles = make_bundles(TOP / "Config/demo", folder)
        state = generator.getstate()
        known = {version: answers(options.binary, bundles[version], folder, state) for version in VALID}
        for one, other in itertools.combinations(VALID, 2):
            if known[one] == known[other]:
                sys.exit(f"{one} and {other} answer alike, so that nothing could tell them apart")
        for misfortune in chosen:
            place = folder / misfortune.__name__
            place.mkdir()
            server = Server(options.binary, bundles, place)
            clients = Clients(known, options.clients, generator.random())
            seconds = options.seconds / len(chosen)
            note = misfortune(server, clients, seconds, generator)
            # The misfortune is over; every request must be answered again.
            clients.calm(server)
            clients.stop()
            status = server.stop()
            if status != 0:
                clients.fault(f"the server ended with {status}; its log ends with: {server.log_tail()}")
            counts = clients.counts
            rows.append((misfortune.__name__, counts, note))
            broken += [(misfortune.__name__, fault) for fault in clients.faults]
            print_row(*rows[-1], len(clients.faults))
    finally:
        Server.kill_all()
        shutil.rmtree(folder, ignore_errors=True)
    for name, fault in broken[:50]:
        print(f"BROKEN {name}: {fault}")
    total = sum((collections.Counter(counts) for _, counts, _ in rows), collections.Counter())
    print(f"{sum(total.values())} requests: {json.dumps(dict(total.most_common()))}; the invariant broke {len(broken)} times")
    sys.exit(1 if broken else 0)


def print_row(name, counts, note, faults):
    lost = counts.get("lost", 0)
    refused = sum(count for key, count in counts.items() if key not in ("200", "lost"))
    print(
        f"{name:<22} {counts.get('200', 0):>7} right {refused:>6} refused {lost:>6} lost {faults:>3} wrong   {note}",
        flush=True,
    )


main()
