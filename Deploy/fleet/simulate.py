#!/usr/bin/env python3
"""How much of users' state a fleet finds again: by cache size, number of servers and the way users are spread.

    simulate.py check MEASURED.json --interactions FILE   the fleet test's own visits, against what it measured (within 10 %)
    simulate.py scale                                     up to 100 M users and 100 servers; the tables of scale.md

The first walks through visits one by one, with least-recently-used caches made of pages. The second has too many users for that and
uses Che's approximation of such a cache (Che, Tung, Wang, 2002): an entry lives a characteristic time T after its last use, T
being what makes the expected number of live entries the cache's size. Users are grouped by their rate of return, in bins of
ranks. `check` also holds the two against each other. Only the standard library; the same seed gives the same numbers.
"""

import argparse
import collections
import json
import math
import random
import sys

import fleet_test

PAGE_EVENTS = 16


class Cache:
    """A least-recently-used cache of users' entries, limited to a number of pages."""

    def __init__(self, pages):
        self.room, self.entries = pages, collections.OrderedDict()

    def visit(self, user, events):
        """Returns how many events of the user were cached; then caches `events`."""
        kept = self.entries.pop(user, 0)
        self.room += pages(kept)
        need = pages(events)
        while need > self.room and self.entries:
            _, evicted = self.entries.popitem(last=False)
            self.room += pages(evicted)
        if need <= self.room:
            self.entries[user] = events
            self.room -= need
        return min(kept, events)


def pages(events):
    return -(-events // PAGE_EVENTS)


def walk(plan, servers, bytes_per_event, total_bytes, window, choose):
    """The share of events found in caches, over all visits."""
    caches = [Cache(total_bytes // servers // (bytes_per_event * PAGE_EVENTS)) for _ in range(servers)]
    used = found = 0
    for user, events in plan:
        count = min(len(events), window)
        kept = caches[choose(user)].visit(user, count)
        # A sliding window invalidates what was computed at other positions.
        found += kept if len(events) <= window else 0
        used += count
    return found / used


def check(options):
    measured = json.load(open(options.measured, encoding="utf-8"))
    users = fleet_test.histories(options.interactions, 6)
    plan = list(fleet_test.visits(users, measured["requests"]))
    draw = random.Random(fleet_test.SEED)
    ring = {name: draw.randrange(3) for name in users}
    size, total, window = measured["bytes_per_event"], measured["cache_bytes"], measured["window"]

    def predict(servers, choose):
        return walk(plan, servers, size, total, window, choose)

    predicted = {
        "one": predict(1, lambda user: 0),
        "hashed": predict(3, lambda user: ring[user]),
        "round_robin": predict(3, lambda user: draw.randrange(3)),
        "random": predict(3, lambda user: draw.randrange(3)),
    }
    failed = False
    print(f"{'':14} {'predicted':>10} {'measured':>10} {'difference':>10}")
    for name, value in predicted.items():
        difference = abs(value - measured[name]) / measured[name]
        failed |= difference > 0.1
        print(f"{name:14} {value:10.3f} {measured[name]:10.3f} {difference:9.1%}{'  MISSED' if difference > 0.1 else ''}")
    # Compares the approximation with a walk at a size where a walk is feasible.
    rates = bins(20_000, 0.8)
    names = list(range(20_000))
    weights = [(rank + 1) ** -0.8 for rank in names]
    cache, hits = Cache(2_000), 0
    visits = draw.choices(names, weights, k=200_000)
    for index, user in enumerate(visits):
        kept = cache.visit(user, PAGE_EVENTS)
        hits += kept > 0 and index >= 100_000
    approximation = che(rates, 2_000)
    difference = abs(approximation - hits / 100_000)
    print(f"Che's approximation {approximation:.3f}, a walk of 200 000 visits {hits / 100_000:.3f}")
    sys.exit(1 if failed or difference > 0.02 else 0)


def bins(users, exponent):
    """(number of users, each one's share of the visits) per bin of ranks, for visits proportional to rank ** -exponent."""
    edges = sorted({min(users, round(1.15**power)) for power in range(1 + int(math.log(users) / math.log(1.15)) + 1)})
    edges = [0] + edges
    weight = lambda low, high: sum_power(low, high, exponent)
    total = weight(0, users)
    return [(high - low, weight(low, high) / (high - low) / total) for low, high in zip(edges, edges[1:])]


def sum_power(low, high, exponent):
    """The sum of r ** -exponent for low < r <= high, approximated by the integral for wide ranges."""
    if high - low <= 1_000:
        return sum((rank + 1) ** -exponent for rank in range(low, high))
    # Midpoint rule: the integral from low + 0.5 to high + 0.5.
    if exponent == 1:
        return math.log((high + 0.5) / (low + 0.5))
    return ((high + 0.5) ** (1 - exponent) - (low + 0.5) ** (1 - exponent)) / (1 - exponent)


def che(rates, entries):
    """The share of visits that find their user in a cache with this many entries."""
    if entries >= sum(count for count, _ in rates):
        return 1.0
    low, high = 0.0, 1.0
    live = lambda time: sum(count * -math.expm1(-rate * time) for count, rate in rates)
    while live(high) < entries:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if live(middle) < entries else (low, middle)
    return sum(count * rate * -math.expm1(-rate * high) for count, rate in rates)


def scale(options):
    exponent = options.exponent
    print(f"Users return by a Zipf law with exponent {exponent}; {options.events} events a user, "
          f"{options.bytes_per_event} bytes an event, {options.cache_gib} GiB of cache a server.\n")
    entries = int(options.cache_gib * 2**30 / (pages(options.events) * PAGE_EVENTS * options.bytes_per_event))
    print(f"A server keeps {entries:,} users. Share of visits that find their user:\n".replace(",", " "))
    counts = (1, 3, 10, 30, 100)
    print("| users | " + " | ".join(f"{count} servers" for count in counts) + " | 100, at random |")
    print("| --- |" + " --- |" * (len(counts) + 1))
    for users in (1_000_000, 10_000_000, 100_000_000):
        rates = bins(users, exponent)
        row = [f"{che(rates, entries * count):.2f}" for count in counts]
        # With random balancing every server sees every user at a hundredth of the rate, so only one cache's size counts.
        row.append(f"{che(rates, entries):.2f}")
        print(f"| {users // 1_000_000} M | " + " | ".join(row) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("check")
    one.add_argument("measured")
    one.add_argument("--interactions", required=True)
    one.set_defaults(run=check)
    two = commands.add_parser("scale")
    two.add_argument("--exponent", type=float, default=0.8)
    two.add_argument("--events", type=int, default=200)
    two.add_argument("--bytes-per-event", type=int, default=12_288)
    two.add_argument("--cache-gib", type=float, default=16)
    two.set_defaults(run=scale)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
