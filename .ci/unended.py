#!/usr/bin/env python3
"""Prints the tests that started but did not end, according to a log of `swift test`."""
import re
import sys

started, ended = {}, set()
with open(sys.argv[1], encoding="utf-8", errors="replace") as log:
    for line in log:
        line = re.sub(r"\x1b\[[0-9;]*m", "", line)
        if match := re.match(r"\S+ Test (?:case .* to )?(\w+\(.*?\)) started", line):
            started[match[1]] = True
        elif match := re.match(r"\S+ Test (\w+\(.*?\)) (?:with .*)?(?:passed|failed|skipped)", line):
            ended.add(match[1])
for test in started:
    if test not in ended:
        print(f"started and not ended: {test}")
