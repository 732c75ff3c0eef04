#!/usr/bin/env python3
"""Ten thousand connections against a running server: half idle, half sending a request byte by byte. Prints a second client's
latency before, during and after, and the server's descriptors and memory after half of the crowd has vanished in the middle of
a request and the rest has closed.

    crowd.py GENREC PORT PID [CONNECTIONS]

Exit status 1 if descriptors or memory leak, or if the second client gets replies other than 200.
"""

import os
import resource
import select
import socket
import struct
import sys
import threading
import time

from latency import latency

genrec, port, pid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
count = int(sys.argv[4]) if len(sys.argv) > 4 else 10_000
content = b'{"history":{"items":["unknown-1","unknown-2"]},"k":10}'
request = (
    b"POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
) + content


def descriptors():
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory():
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])


def measure(label):
    (p50, _, p99, maximum), wrong = latency(genrec, port, 200, 4, 5)
    print(f"{label:44} p50 {p50:>7} us  p99 {p99:>7} us  max {maximum:>7} us")
    return p99, wrong


def connect():
    s = socket.socket()
    s.connect(("127.0.0.1", port))
    s.setblocking(False)
    return s


def settled(limit):
    """Waits until at most `limit` descriptors are open; False if they stay open."""
    for _ in range(600):
        if descriptors() <= limit:
            return True
        time.sleep(0.1)
    return False


soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
if hard < count + 100:
    count = hard - 100
    print(f"only {hard} descriptors may be open: {count} connections")

faults = 0
alone, wrong = measure("alone")
faults += wrong
base = descriptors()

crowd = [connect() for _ in range(count)]
print(f"{count} connections: {descriptors()} descriptors, {memory()} KiB")
drippers = crowd[: count // 2]
stop = threading.Event()


def drip():
    # One byte per second each, evenly spread.
    place = 0
    while not stop.is_set():
        place += 1
        start = time.monotonic()
        for index, s in enumerate(drippers):
            s.send(request[place % len(request) : place % len(request) + 1] if place < 60 else b"")
            if index % 100 == 99:
                pause = start + (index + 1) / len(drippers) - time.monotonic()
                if pause > 0:
                    time.sleep(pause)


def first_bytes():
    for s in drippers:
        s.send(request[:1])


first_bytes()
thread = threading.Thread(target=drip)
thread.start()
crowded, wrong = measure(f"beside {count - len(drippers)} idle and {len(drippers)} dripping")
faults += wrong
stop.set()
thread.join()
for s in crowd:
    s.close()
if not settled(base):
    print(f"{descriptors() - base} descriptors stay behind after the idle and dripping ones")
    faults += 1
after_first = memory()

# Three waves; half of each resets its connections: in the head, in the body, or before the reply.
for wave in range(3):
    crowd = [connect() for _ in range(count)]
    for index, s in enumerate(crowd):
        s.send(request[: [20, len(request) - 100, len(request)][index % 3]])
        if index % 2 == 0:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
    for s in crowd:
        s.close()
    if not settled(base):
        print(f"{descriptors() - base} descriptors stay behind after wave {wave + 1}")
        faults += 1
    print(f"after wave {wave + 1} of {count} vanishing clients: {descriptors()} descriptors, {memory()} KiB")
# A leak of 1 KiB per connection would be 30 MB by now.
if memory() > after_first * 1.2 + 8_192:
    print(f"memory grew from {after_first} to {memory()} KiB")
    faults += 1
after, wrong = measure("afterwards")
faults += wrong
print(f"p99 beside the crowd is {crowded / alone:.2f} of p99 alone")
sys.exit(1 if faults else 0)
