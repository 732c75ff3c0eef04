#!/usr/bin/env python3
"""How much of float32's top ten the smaller dtypes keep: starts a server for each, asks all of them for every user's next items,
and compares the ids.

    overlap.py GENREC BUNDLE INTERACTIONS.tsv

Prints for bf16 and int8 the share of float32's ten items that are among theirs: mean and minimum over the users.
"""

import json
import subprocess
import sys
import urllib.request

K = 10


def histories(path):
    """Each user's events in time order, except the last, which `genrec evaluate` predicts."""
    users = {}
    with open(path) as file:
        names = [name.split(":")[0] for name in next(file).rstrip("\n").split("\t")]
        user, item = (next(i for i, n in enumerate(names) if n in (kind, kind + "_id")) for kind in ("user", "item"))
        time = names.index("timestamp")
        for line in file:
            fields = line.rstrip("\n").split("\t")
            users.setdefault(fields[user], []).append((int(float(fields[time])), fields[item]))
    for name, events in users.items():
        events.sort(key=lambda event: event[0])
        if len(events) > 1:
            yield name, events


def answers(genrec, bundle, interactions, dtype):
    """The ids of the best ten items by user."""
    command = [genrec, "serve", "--bundle", bundle, "--listen", "127.0.0.1:0", "--dtype", dtype]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            url = next(word for word in server.stdout.readline().split() if word.startswith("http")).rstrip(",")
            best = {}
            for user, events in histories(interactions):
                body = {
                    "history": {"items": [item for _, item in events[:-1]], "timestamps": [time for time, _ in events[:-1]]},
                    "request_time": events[-1][0],
                    "k": K,
                }
                request = urllib.request.Request(
                    url + "/recommend", json.dumps(body).encode(), {"Content-Type": "application/json"}
                )
                with urllib.request.urlopen(request) as reply:
                    best[user] = {item["item"] for item in json.load(reply)["items"]}
            return best
        finally:
            server.terminate()


def main():
    genrec, bundle, interactions = sys.argv[1:]
    reference = answers(genrec, bundle, interactions, "f32")
    for dtype in ("bf16", "int8"):
        compared = answers(genrec, bundle, interactions, dtype)
        kept = [len(reference[user] & compared[user]) / K for user in reference]
        print(f"{dtype}: {100 * sum(kept) / len(kept):.2f} % of float32's top {K} kept, least of a user {100 * min(kept):.0f} %")


if __name__ == "__main__":
    main()
