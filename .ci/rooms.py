#!/usr/bin/env python3
"""Draws the rooms of the project, from Package.swift, as an SVG picture.

    .ci/rooms.py                 writes Sources/Service/Service.docc/Resources/rooms.svg
    .ci/rooms.py --check         exits 1 when the committed picture is not the one that Package.swift gives

A room is a target under Sources. Arrows that other arrows imply are left out (transitive reduction); a room stands above
everything it uses. Python's standard library and `swift package dump-package` are all it needs.
"""

import json
import pathlib
import subprocess
import sys
from xml.sax.saxutils import escape

TOP = pathlib.Path(__file__).resolve().parent.parent
PICTURE = TOP / "Sources/Service/Service.docc/Resources/rooms.svg"
WIDTH, MARGIN, BOX_HEIGHT, ROW_HEIGHT = 940, 30, 40, 92
STYLE = """
  .room { fill: #f4f6fa; stroke: #5b6b86; stroke-width: 1.2 }
  .foreign { fill: #fbf5ea; stroke: #9a7b3f; stroke-width: 1.2 }
  .name { fill: #1b2430; font: 600 14px system-ui, sans-serif; text-anchor: middle }
  .arrow { fill: none; stroke: #8592a8; stroke-width: 1.3 }
  .head { fill: #8592a8 }
  @media (prefers-color-scheme: dark) {
    .room { fill: #1e2633; stroke: #7d8fae }
    .foreign { fill: #2c2618; stroke: #b3945a }
    .name { fill: #e6ebf3 }
    .arrow { stroke: #6d7c95 }
    .head { fill: #6d7c95 }
  }"""


def rooms():
    """Each target under Sources with the targets that it uses."""
    text = subprocess.run(
        ["swift", "package", "--disable-sandbox", "dump-package"], cwd=TOP, check=True, capture_output=True, text=True
    ).stdout
    targets = {
        target["name"]: target
        for target in json.loads(text)["targets"]
        if target["type"] != "test" and not (target.get("path") or "").startswith("Tests")
    }
    uses = {}
    for name, target in targets.items():
        named = {(entry.get("byName") or entry.get("target") or [None])[0] for entry in target["dependencies"]}
        uses[name] = named & targets.keys()
    return uses


def reduced(uses):
    """The arrows that other arrows do not imply."""
    reach = {}

    def reachable(name):
        if name not in reach:
            reach[name] = set().union(*({used} | reachable(used) for used in uses[name]))
        return reach[name]

    return {
        name: {used for used in named if not any(used in reachable(other) for other in named - {used})}
        for name, named in uses.items()
    }


def layered(arrows):
    """The picture's rows, lowest first, and each arrow's path through them.

    A room stands one row above the highest room it uses. An arrow over several rows passes each row in between at its own
    place, so that no box hides it (Sugiyama's method). A place is a room's name, or an arrow and the row it passes.
    """
    level = {}

    def height(name):
        if name not in level:
            level[name] = 1 + max((height(used) for used in arrows[name]), default=-1)
        return level[name]

    rows = [[] for _ in range(1 + max(height(name) for name in arrows))]
    for name in sorted(arrows):
        rows[level[name]].append(name)
    ways = []
    for name in sorted(arrows):
        for used in sorted(arrows[name]):
            passed = [(name, used, row) for row in range(level[name] - 1, level[used], -1)]
            for place in passed:
                rows[place[2]].append(place)
            ways.append([name, *passed, used])
    above, below = {}, {}
    for way in ways:
        for upper, lower in zip(way, way[1:]):
            below.setdefault(upper, []).append(lower)
            above.setdefault(lower, []).append(upper)
    # Sweeps up and down move each place to the middle of its neighbours, so that fewer arrows cross.
    at = {place: (index + 0.5) / len(row) for row in rows for index, place in enumerate(row)}
    for sweep in range(24):
        for row in reversed(rows) if sweep % 2 else rows:
            neighbours = above if sweep % 2 else below

            def middle(place):
                near = [at[other] for other in neighbours.get(place, [])]
                return (sum(near) / len(near) if near else at[place], str(place))

            row.sort(key=middle)
            for index, place in enumerate(row):
                at[place] = (index + 0.5) / len(row)
    return rows, ways


def picture(uses):
    """The SVG text."""
    arrows = reduced(uses)
    rows, ways = layered(arrows)
    height = 2 * MARGIN + (len(rows) - 1) * ROW_HEIGHT + BOX_HEIGHT
    boxes = {}
    for number, row in enumerate(rows):
        widths = [max(76, 9.2 * len(place) + 22) if isinstance(place, str) else 10 for place in row]
        gap = (WIDTH - 2 * MARGIN - sum(widths)) / (len(row) + 1)
        x = MARGIN + gap
        for place, width in zip(row, widths):
            boxes[place] = (x, height - MARGIN - BOX_HEIGHT - number * ROW_HEIGHT, width)
            x += width + gap
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        ' aria-label="The rooms of genrec and the arrows between them">',
        f"<style>{STYLE}\n</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0 L8 4 L0 8 Z"/></marker></defs>',
    ]
    for way in ways:
        x, y, width = boxes[way[0]]
        centre, bottom = x + width / 2, y + BOX_HEIGHT
        steps = [f"M{centre:.0f} {bottom}"]
        for place in way[1:]:
            x, y, width = boxes[place]
            target = x + width / 2
            if isinstance(place, str):
                # Spread the arrowheads a little, so that arrows into one room can be told apart.
                target += max(-width / 3, min(width / 3, (centre - target) / 8))
                y -= 1
            bend = (y - bottom) / 2
            steps.append(f"C{centre:.0f} {bottom + bend:.0f} {target:.0f} {y - bend:.0f} {target:.0f} {y}")
            centre, bottom = target, y
            if not isinstance(place, str):
                bottom = y + BOX_HEIGHT
                steps.append(f"L{target:.0f} {bottom}")
        lines.append(f'<path class="arrow" marker-end="url(#head)" d="{" ".join(steps)}"/>')
    for name in sorted(arrows):
        x, y, width = boxes[name]
        kind = "foreign" if not arrows[name] and name[0] == "C" and name[1].isupper() else "room"
        lines.append(
            f'<rect class="{kind}" x="{x:.0f}" y="{y}" width="{width:.0f}" height="{BOX_HEIGHT}" rx="7"/>'
            f'<text class="name" x="{x + width / 2:.0f}" y="{y + 25}">{escape(name)}</text>'
        )
    return "\n".join(lines + ["</svg>", ""])


def main():
    text = picture(rooms())
    if sys.argv[1:] == ["--check"]:
        if not PICTURE.exists() or PICTURE.read_text() != text:
            sys.exit(f"{PICTURE.relative_to(TOP)} is not the picture of Package.swift: run .ci/rooms.py and commit it")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(text)


main()
