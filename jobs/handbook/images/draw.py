#!/usr/bin/env python3
"""Draws the pictures of the handbook. All shapes are ours; so is the licence of the pictures (MIT OR Apache-2.0).

How to run (Debian, any Python from 3.9):

    sudo apt-get install fonts-ebgaramond fonts-inter
    python3 -m venv /tmp/drawing && /tmp/drawing/bin/pip install pillow
    /tmp/drawing/bin/python jobs/handbook/images/draw.py [--fonts FOLDER]

It writes cover.png, state-machine.png, pipeline.png, fairness.png and house.jpg beside itself. Every picture is drawn
three times as large as it ends up and then scaled down, which is what makes its edges smooth.
"""

import argparse
import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SCALE = 3
INK, PAPER, RED, OCHRE, TEAL = "#1f2a44", "#f8f2e4", "#c4472d", "#d9a13b", "#2f7274"
GREY, PALE, WHITE = "#7b8194", "#ece3cd", "#fffdf8"
FACES = {
    "serif": "EBGaramond12-Regular.otf",
    "serif-italic": "EBGaramond12-Italic.otf",
    "serif-bold": "EBGaramond12-Bold.otf",
    "sans": "Inter-Regular.otf",
    "sans-bold": "Inter-SemiBold.otf",
}
HERE = Path(__file__).resolve().parent
fonts = Path("/usr/share/fonts")


class Canvas:
    """A picture in its final coordinates; what it draws on is SCALE times as large."""

    def __init__(self, width, height, background=PAPER):
        self.size = (width, height)
        self.image = Image.new("RGB", (width * SCALE, height * SCALE), background)
        self.pen = ImageDraw.Draw(self.image)

    def box(self, x, y, width, height, fill=WHITE, line=INK, thick=2.5, round=10):
        self.pen.rounded_rectangle(
            [x * SCALE, y * SCALE, (x + width) * SCALE, (y + height) * SCALE],
            round * SCALE, fill, line, int(thick * SCALE) if line else 0)

    def shape(self, points, fill):
        self.pen.polygon([(x * SCALE, y * SCALE) for x, y in points], fill)

    def disc(self, x, y, radius, fill, line=None, thick=0):
        box = [(x - radius) * SCALE, (y - radius) * SCALE, (x + radius) * SCALE, (y + radius) * SCALE]
        self.pen.ellipse(box, fill, line, int(thick * SCALE))

    def line(self, points, colour=INK, thick=2.5, dashed=False):
        for (x1, y1), (x2, y2) in zip(points, points[1:]):
            length = math.hypot(x2 - x1, y2 - y1)
            steps = [(0, length)]
            if dashed:
                steps = [(at, min(at + 9, length)) for at in range(0, int(length), 15)]
            for begin, end in steps:
                ends = [(x1 + (x2 - x1) * at / length, y1 + (y2 - y1) * at / length) for at in (begin, end)]
                self.pen.line([(x * SCALE, y * SCALE) for x, y in ends], colour, int(thick * SCALE))
        if not dashed:
            for x, y in points[1:-1]:
                self.disc(x, y, thick / 2, colour)

    def arrow(self, points, colour=INK, thick=2.5, dashed=False, head=13):
        (x1, y1), (x2, y2) = points[-2:]
        angle = math.atan2(y2 - y1, x2 - x1)
        back = (x2 - head * math.cos(angle), y2 - head * math.sin(angle))
        self.line([*points[:-1], back], colour, thick, dashed)
        wing = head * 0.5
        across = (-math.sin(angle) * wing, math.cos(angle) * wing)
        self.shape([(x2, y2), (back[0] + across[0], back[1] + across[1]),
                    (back[0] - across[0], back[1] - across[1])], colour)

    def text(self, x, y, text, size=20, face="sans", colour=INK, anchor="mm", behind=None):
        path = next(fonts.rglob(FACES[face]), None)
        if path is None:
            raise SystemExit(f"{FACES[face]} is not below {fonts}: see the head of draw.py")
        font = ImageFont.truetype(str(path), int(size * SCALE))
        if behind:
            left, top, right, bottom = self.pen.textbbox((x * SCALE, y * SCALE), text, font, anchor)
            pad = 4 * SCALE
            self.pen.rectangle([left - pad, top - pad, right + pad, bottom + pad], behind)
        self.pen.text((x * SCALE, y * SCALE), text, colour, font, anchor)

    def save(self, name, colours=96):
        image = self.image.resize(self.size, Image.Resampling.LANCZOS)
        if name.endswith(".jpg"):
            image.save(HERE / name, quality=78, subsampling=0, optimize=True)
        else:
            image = image.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            image.save(HERE / name, optimize=True)
        print(name, self.size, (HERE / name).stat().st_size, "bytes")


def serve(queued, weights, arrivals, steps):
    """Start-time fair queueing as the queue does it: whose job goes at each step."""
    queued, virtual, order, now = dict(queued), {}, [], 0.0
    for step in range(steps):
        for tenant, (at, jobs) in arrivals.items():
            if at == step:
                queued[tenant] = queued.get(tenant, 0) + jobs
                virtual[tenant] = max(virtual.get(tenant, 0.0), now)
        ready = [tenant for tenant, jobs in queued.items() if jobs]
        tenant = min(ready, key=lambda name: (virtual.setdefault(name, 0.0), name))
        now = virtual[tenant]
        virtual[tenant] += 1 / weights[tenant]
        queued[tenant] -= 1
        order.append(tenant)
    return order


def cover():
    c = Canvas(1000, 1500)
    c.box(38, 38, 924, 1424, PAPER, INK, 3, 0)
    c.box(50, 50, 900, 1400, PAPER, INK, 1, 0)
    c.text(500, 172, "The", 62, "serif-italic")
    c.text(500, 262, "Presswork", 148, "serif")
    c.text(500, 398, "Handbook", 104, "serif-italic", RED)
    c.line([(400, 482), (600, 482)], INK, 2)

    # Three webs of paper, one a tenant, run over the cylinder.
    top, x, y, radius = 530, 500, 800, 190
    for left, width, colour in ((345, 120, OCHRE), (480, 60, TEAL), (555, 100, RED)):
        c.shape([(left, top), (left + width, top), (left + width, y), (left, y)], colour)
        for stripe in range(3):
            at = top + 26 + stripe * 22
            c.line([(left + 14, at), (left + width - 14 - 12 * (stripe == 2), at)], PAPER, 3)
    c.disc(x, y, radius, INK)
    for ring, colour, thick in ((172, PAPER, 2), (120, PAPER, 2), (40, PAPER, 3)):
        c.disc(x, y, ring, None, colour, thick)
    for spoke in range(8):
        angle = math.pi / 4 * spoke + math.pi / 8
        c.line([(x + 40 * math.cos(angle), y + 40 * math.sin(angle)),
                (x + 120 * math.cos(angle), y + 120 * math.sin(angle))], PAPER, 3)
    c.disc(x, y, 15, RED)
    for tooth in range(48):
        angle = math.pi / 24 * tooth
        c.disc(x + 146 * math.cos(angle), y + 146 * math.sin(angle), 4.2, PAPER)
    for side in (-1, 1):
        c.shape([(x + side * 214, y - 30), (x + side * 262, y - 30), (x + side * 292, y + 250),
                 (x + side * 184, y + 250)], INK)
        c.line([(x + side * 180, y + 10), (x + side * 225, y + 10)], INK, 14)
        c.disc(x + side * 238, y + 10, 14, OCHRE, PAPER, 3)

    # The sheets come off in turns, as weights ask: this is the fair order, not a pattern.
    colours = {"ochre": OCHRE, "red": RED, "teal": TEAL}
    order = serve({"ochre": 99, "red": 99, "teal": 99}, {"ochre": 2, "red": 2, "teal": 1}, {}, 10)
    for place, tenant in enumerate(order):
        at = 1008 + place * 15
        lean = math.sin(place * 1.9) * 9
        c.shape([(392 + lean, at), (608 + lean, at), (622 + lean, at + 11), (378 + lean, at + 11)], colours[tenant])

    # An open book catches them.
    for side in (-1, 1):
        for leaf, colour in ((0, INK), (7, WHITE), (14, PALE), (21, WHITE)):
            edge = [(x, 1320 - leaf)]
            curve = [(x + side * t * 3.1, 1320 - leaf - 74 * math.sin(math.pi * (t / 100) ** 0.7) - t * 0.12)
                     for t in range(0, 101, 4)]
            edge += curve + [(x + side * 310, 1338 - leaf), (x, 1350 - leaf)]
            c.shape(edge, colour)
        for row in range(5):
            start, end = x + side * 46, x + side * (262 - 40 * (row == 4))
            points = []
            for t in range(0, 21):
                px = start + (end - start) * t / 20
                part = abs(px - x) / 310
                points.append((px, 1303 + row * 8 - 60 * math.sin(math.pi * part ** 0.7) * (1 - row * 0.1) - 10 * part))
            c.line(points, GREY, 1.6)
    c.line([(x, 1299), (x, 1350)], INK, 3)
    c.text(500, 1406, "Long jobs for people who make books", 40, "serif-italic")
    c.save("cover.png", 64)


def state_machine():
    c = Canvas(1400, 830)
    places = {
        "scheduled": (150, 235, OCHRE), "blocked": (150, 430, OCHRE), "retrying": (150, 625, OCHRE),
        "waiting": (480, 430, TEAL), "running": (830, 430, TEAL),
        "cancelled": (1200, 215, GREY), "completed": (1200, 430, INK), "dead": (1200, 645, RED),
    }
    c.box(40, 150, 565, 545, "#f2e9d3", None, 0, 18)
    # What the engine does: solid. What somebody asks for: dashed.
    for name in ("scheduled", "retrying"):
        y = places[name][1]
        c.arrow([(235, y), (400, y), (440, 395 if y < 430 else 465)])
        c.text(325, y - 18, "due", 21)
    c.arrow([(235, 430), (395, 430)])
    c.text(315, 412, "unblocked", 21)
    c.arrow([(565, 413), (745, 413)])
    c.text(667, 394, "claimed", 21)
    c.arrow([(745, 447), (565, 447)])
    c.text(667, 468, "lapsed", 21)
    c.arrow([(830, 395), (830, 90), (150, 90), (150, 200)])
    c.text(490, 72, "snooze", 21)
    c.arrow([(815, 465), (815, 780), (150, 780), (150, 660)])
    c.text(490, 762, "retry", 21)
    c.arrow([(915, 430), (1115, 430)])
    c.text(1055, 412, "done", 21)
    c.line([(985, 430), (985, 232)])
    c.arrow([(985, 430), (985, 232), (1115, 232)])
    c.text(1050, 254, "cancelled", 21)
    c.arrow([(985, 430), (985, 645), (1115, 645)])
    c.text(1050, 625, "dead", 21)
    c.arrow([(605, 197), (1115, 197)], RED, 2.5, True)
    c.text(715, 177, "cancel asked", 21, colour=RED)
    c.line([(1285, 215), (1345, 215), (1345, 735), (480, 735)], RED, 2.5, True)
    c.line([(1285, 645), (1345, 645)], RED, 2.5, True)
    c.arrow([(480, 735), (480, 465)], RED, 2.5, True)
    c.text(1080, 716, "requeued", 21, colour=RED)
    c.arrow([(870, 465), (870, 545), (905, 545), (905, 467)], RED, 2.5, True)
    c.text(888, 566, "cancel asked", 21, colour=RED, behind=PAPER)
    for name, (x, y, colour) in places.items():
        c.box(x - 85, y - 35, 170, 70, colour, None, 0, 35 if x < 1000 else 8)
        c.text(x, y - 1, name, 25, "sans-bold", WHITE if colour != OCHRE else INK)
    c.text(60, 30, "solid: what the engine does", 19, colour=INK, anchor="lm")
    c.text(345, 30, "dashed: what somebody asks for", 19, colour=RED, anchor="lm")
    c.save("state-machine.png", 48)


def pipeline():
    c = Canvas(1500, 620)
    stages = [("handler", 40, "writes chapters"), ("chunk", 292, "8 KiB each"), ("compress", 544, "zstd · gzip · brotli"),
              ("upload", 796, "parts of ≥ 5 MiB"), ("storage", 1048, "nobody sees it yet")]
    for name, x, note in stages:
        c.box(x, 70, 200, 92, WHITE if name != "storage" else PALE)
        c.text(x + 100, 103, name, 27, "sans-bold")
        c.text(x + 100, 138, note, 17.5, colour=GREY)
    for x in (240, 492, 744, 996):
        c.arrow([(x, 116), (x + 52, 116)], TEAL, 5, head=18)
    # The bytes under each stage.
    for line in range(6):
        c.line([(70, 205 + line * 17), (210 - 60 * (line in (2, 5)), 205 + line * 17)], INK, 4)
    for row in range(4):
        for column in range(7):
            c.box(311 + column * 24, 200 + row * 24, 18, 18, OCHRE, None, 0, 3)
    for row in range(4):
        for column in range(7):
            c.box(563 + column * 24, 200 + row * 24, 10 if column % 2 else 7, 18, RED, None, 0, 2)
    for row in range(2):
        c.box(822, 200 + row * 50, 148, 42, RED, None, 0, 4)
        c.text(896, 221 + row * 50, f"part {row + 1}", 19, "sans-bold", WHITE)
    for row in range(3):
        c.box(1074, 200 + row * 33, 148, 28, "#b9b3a4", None, 0, 3)
    c.arrow([(1222, 330), (60, 330)], GREY, 2.5, True)
    c.text(641, 353, "back-pressure: a stage that is full makes the one before it wait, so memory stays bounded", 19,
           colour=GREY)
    # What makes it public.
    c.box(544, 420, 250, 130, WHITE)
    c.text(669, 447, "manifest", 27, "sans-bold")
    for row, note in enumerate(("size, parts, SHA-256,", "type, encoding", "written last")):
        c.text(669, 478 + row * 24, note, 17.5, colour=GREY if row < 2 else RED)
    c.box(930, 420, 250, 130, WHITE)
    c.text(1055, 447, "publish", 27, "sans-bold")
    for row, note in enumerate(("one settle, in one step:", "the job is done and the", "artifact is there")):
        c.text(1055, 478 + row * 24, note, 17.5, colour=GREY)
    c.arrow([(1148, 300), (1148, 392), (669, 392), (669, 418)], TEAL, 5, head=18)
    c.arrow([(794, 485), (928, 485)], TEAL, 5, head=18)
    c.text(861, 462, "epoch?", 18, colour=RED)
    c.arrow([(1180, 485), (1290, 485)], TEAL, 5, head=18)
    c.disc(1375, 485, 76, RED)
    c.text(1375, 474, "readers", 25, "sans-bold", WHITE)
    c.text(1375, 503, "see all of it", 18, colour=WHITE)
    c.text(60, 485, "nothing is readable", 23, "serif-italic", anchor="lm")
    c.text(60, 515, "until the last step", 23, "serif-italic", anchor="lm")
    c.save("pipeline.png", 48)


def fairness():
    c = Canvas(1400, 560)
    names = {"harbour": OCHRE, "lantern": TEAL, "quill": RED}
    weights = {"harbour": 1, "lantern": 2, "quill": 1}
    order = serve({"harbour": 200, "lantern": 100}, weights, {"quill": (9, 3)}, 24)
    left, step, side = 60, 54, 46
    c.text(left, 38, "who is served, claim by claim", 27, "sans-bold", anchor="lm")
    for row, (title, served) in enumerate((("first come, first served", ["harbour"] * 24), ("Presswork", order))):
        y = 118 + row * 150
        c.text(left, y - 27, title, 21, colour=GREY if row == 0 else INK, anchor="lm")
        for place, tenant in enumerate(served):
            c.box(left + place * step, y, side, side, names[tenant], None, 0, 6)
            colour = INK if tenant == "harbour" else WHITE
            c.text(left + place * step + side / 2, y + side / 2, tenant[0].upper(), 21, "sans-bold", colour)
    at = left + 9 * step - 4
    c.line([(at, 82), (at, 345)], INK, 2, True)
    c.text(at + 8, 341, "quill’s three jobs arrive", 20, anchor="lm")
    for place in range(24):
        if (place + 1) % 4 == 0:
            c.text(left + place * step + side / 2, 390, str(place + 1), 18, colour=GREY)
    legend = [("harbour", "200 jobs waiting, weight 1"), ("lantern", "100 jobs waiting, weight 2"), ("quill", "3 jobs, arriving late, weight 1")]
    for row, (tenant, note) in enumerate(legend):
        y = 434 + row * 40
        c.box(left, y, 28, 28, names[tenant], None, 0, 5)
        c.text(left + 42, y + 14, tenant, 20, "sans-bold", anchor="lm")
        c.text(left + 140, y + 14, note, 20, colour=GREY, anchor="lm")
    counts = {tenant: order.count(tenant) for tenant in names}
    summary = f"Presswork’s first 24 claims: harbour {counts['harbour']}, lantern {counts['lantern']}, quill {counts['quill']}"
    c.text(1340, 448, summary, 20, anchor="rm")
    c.text(1340, 488, "first come, first served: harbour 24, the others none", 20, colour=GREY, anchor="rm")
    c.save("fairness.png", 48)
    print("served:", " ".join(tenant[0].upper() for tenant in order))


def house():
    c = Canvas(1300, 1000)
    c.shape([(0, 880), (1300, 880), (1300, 1000), (0, 1000)], "#dfe5d3")
    c.box(905, 110, 70, 170, RED, None, 0, 0)
    for puff, (x, y, r) in enumerate(((958, 82, 20), (986, 50, 26), (1024, 24, 20))):
        c.disc(x, y, r, "#e9e0cb")
    c.shape([(600, 60), (1130, 315), (70, 315)], INK)
    c.shape([(600, 122), (982, 306), (218, 306)], PALE)
    c.text(600, 222, "jobs", 34, "sans-bold")
    c.text(600, 262, "import · export · book · the binary", 20, colour=INK)
    floors = [
        (325, "cli", [("cli", "the commands: demo, up, enqueue, watch, jobs …")], OCHRE),
        (435, "engine", [("engine", "what a process opens: the file, the storage, the clock")], OCHRE),
        (545, "worker", [("worker", "claims, renews, runs kinds through apalis, settles")], TEAL),
        (655, "seams", [("queue", "lanes, leases"), ("store", "the file"), ("progress", "events"), ("artifact", "files made")], TEAL),
        (765, "domain", [("domain", "ids, states, verdicts, buckets, names: pure, no I/O")], RED),
    ]
    for y, _, rooms, colour in floors:
        width = 900 / len(rooms)
        for place, (name, note) in enumerate(rooms):
            x = 150 + place * width
            c.box(x, y, width - (8 if place < len(rooms) - 1 else 0), 100, WHITE, INK, 3, 4)
            c.box(x + 16, y + 18, 12, 64, colour, None, 0, 3)
            c.text(x + 46, y + 36, name, 27, "sans-bold", anchor="lm")
            c.text(x + 46, y + 70, note, 19, colour=GREY, anchor="lm")
    c.shape([(110, 870), (1090, 870), (1090, 898), (110, 898)], INK)
    c.arrow([(1160, 330), (1160, 868)], RED, 6, head=26)
    c.text(1190, 560, "imports", 24, "sans-bold", RED, "lm")
    c.text(1190, 592, "go down", 24, "sans-bold", RED, "lm")
    c.text(1190, 624, "only", 24, "sans-bold", RED, "lm")
    c.text(600, 946, "the rooms of one program; each floor knows only those below it", 25, "serif-italic")
    c.save("house.jpg")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Draws the handbook's pictures.")
    arguments.add_argument("--fonts", type=Path, default=fonts, help="where EB Garamond and Inter are")
    fonts = arguments.parse_args().fonts
    for draw in (cover, state_machine, pipeline, fairness, house):
        draw()
