"""Eyes, brows, nose and mouth of B faces, each where the turned head carries it."""

from dataclasses import dataclass, fields

import numpy as np

from anonrep.data.synthetic.faces.character import Character
from anonrep.data.synthetic.faces.shapes import Layer, blend, capsule, ellipse, shade

INK = (0.13, 0.08, 0.09)
TOOTH = (0.98, 0.97, 0.94)
FRAME = (0.42, 0.14, 0.22)  # of the glasses


@dataclass(frozen=True)
class Moment:
    """What B images of a character show besides who it is; arrays (B,).

    muscles           what each of `acting.MUSCLES` does
    yaw, pitch, roll  radians: the head to the right of the picture, downwards, clockwise
    x, y              where the head is, in `shapes`' lengths
    gaze              -1 left ... 1 right, whichever way the head is turned
    light             from the left, -1, to the right, 1
    """

    muscles: dict[str, np.ndarray]
    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    x: np.ndarray
    y: np.ndarray
    gaze: np.ndarray
    light: np.ndarray

    def __len__(self) -> int:
        return len(self.yaw)

    def part(self, chosen: slice) -> "Moment":
        """Some of the moments."""
        moves = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "muscles"}
        muscles = {name: values[chosen] for name, values in self.muscles.items()}
        return Moment(muscles, **{name: values[chosen] for name, values in moves.items()})


class Face:
    """One character at B moments, ready to be drawn: layers to paint on, and numbers of the shape (B, 1, 1)."""

    def __init__(self, who: Character, moment: Moment, size: int) -> None:
        def numbers(values: np.ndarray) -> np.ndarray:
            return np.asarray(values, np.float32).reshape(-1, 1, 1)

        self.who, self.m = who, {name: numbers(values) for name, values in moment.muscles.items()}
        self.yaw, self.gaze, self.light = numbers(moment.yaw), numbers(moment.gaze), numbers(moment.light)
        self.pitch = numbers(moment.pitch) + 0.22 * self.m["nod"]
        x, y = numbers(moment.x), numbers(moment.y) + 0.15 + 0.05 * self.m["nod"]
        self.rgb = np.empty((len(x), 3, size, size), np.float32)
        self.page = Layer(self.rgb)
        self.body = Layer(self.rgb, x / 2, 0.04 - 0.06 * self.m["shrug"])
        self.head = Layer(self.rgb, x, y, numbers(moment.roll) + 0.12 * self.m["tilt"], 1.07)
        self.drop = 0.1 * self.m["open"]  # how far the jaw follows the mouth

    def at(self, u: float, v: float | np.ndarray, out: float = 0.0) -> tuple:
        """Where the turned head carries its point (u, v), `out` before its surface, and how narrow things are there."""
        a, b = self.who.skull
        depth = 0.8 * a * np.sqrt(np.maximum(0.08, 1 - (u / (1.15 * a)) ** 2 - (v / (1.7 * b)) ** 2)) + out
        narrow = np.clip(np.cos(self.yaw) - 0.75 * (u / a) * np.sin(self.yaw), 0.5, 1.15)
        return u * np.cos(self.yaw) + depth * np.sin(self.yaw), v + depth * np.sin(self.pitch), narrow


def nose(face: Face) -> None:
    who, m = face.who, face.m
    a, b = who.nose
    u, v, _ = face.at(0.0, who.nose_height - 0.035 * m["wrinkle"], 0.16)
    patch = face.head.patch(u, v - 0.1, 0.24, 0.3)
    x, y = patch.x, patch.y - 0.1
    tip = ellipse(x, y, a, b)
    if who.bridge:
        top_u, top_v, _ = face.at(0.0, who.nose_height - who.bridge)
        tip = blend(tip, capsule(x, y, (top_u - u, top_v - v), (0, 0), a * 0.45), 0.06)
    if who.wings:
        wing = ellipse(np.abs(x) - 0.075 * (1 + 0.1 * m["wrinkle"]), y - 0.012, 0.045, 0.042)
        tip = blend(tip, wing, 0.03)
    patch.paint(tip - 0.012, shade(who.skin, 0.70), 0.55 * np.clip((y + 0.02) / 0.05, 0, 1), soft=0.02)
    patch.paint(tip, shade(who.skin, (1.0, 0.92, 0.90)), soft=0.006)
    gleam = ellipse(x - 0.02 * face.light, y + 0.35 * b, a * 0.45, b * 0.35)
    patch.paint(gleam, shade(who.skin, 1.15), 0.7, soft=0.015)
    patch.paint(ellipse(np.abs(x) - a * 0.45, y - 0.62 * b, a * 0.22, b * 0.18), shade(who.skin, 0.45), 0.8)
    for row in (0.11, 0.16):
        wrinkle = capsule(np.abs(x) - 0.035, y + row, (-0.03, 0.015), (0.02, -0.02), 0.008)
        patch.paint(wrinkle, shade(who.skin, 0.55), np.clip(m["wrinkle"], 0, 1))
    patch = face.head.patch(u, v + 0.1, 0.4, 0.3)
    x, y = np.abs(patch.x), patch.y + 0.1
    path = 0.10 + who.mouth[0] * (0.55 + 0.3 * m["wide"]) * (y - 0.02) / 0.2
    fold = np.maximum(0.8 * np.abs(x - path) - 0.009, np.abs(y - 0.09) - 0.07)
    patch.paint(fold, shade(who.skin, 0.62), 0.75 * np.clip(m["fold"], 0, 1), soft=0.006)


def mouth(face: Face) -> None:
    who, m = face.who, face.m
    u, v, narrow = face.at(0.0, who.mouth[1])
    patch = face.head.patch(u, v + 0.08, 0.42, 0.36)
    width = who.mouth[0] * np.clip(1 + 0.55 * m["wide"], 0.4, 2) * narrow
    x, y = patch.x, patch.y + 0.08 - 0.22 * m["skew"] * patch.x + 0.03 * m["skew"]
    s = x / width
    middle = 0.55 * m["curve"] * width * (0.45 - np.minimum(s * s, 1.3))  # where the lips meet
    power = 2 + 2.2 * np.clip(m["square"], 0, 1)
    up, down = 0.11 * np.clip(m["lift"], 0, 2) + 0.004, 0.21 * np.clip(m["open"], 0, 2) + 0.004
    opened = np.clip((up + down - 0.008) / 0.06, 0, 1)

    def opening(wider, higher, lower) -> np.ndarray:
        """The distance to an ellipse, or a squarer one, bent along the middle."""
        t = np.where(y < middle, (middle - y) / (up + higher), (y - middle) / (down + lower))
        return patch.even((np.abs(x / (width + wider)) ** power + t**power) ** (1 / power) - 1)

    inside = opening(0, 0, 0)
    bow = who.lip * (1 - 0.3 * np.exp(-((s / 0.16) ** 2)))
    lips = opening(0.004, bow, 1.25 * who.lip + 0.035 * m["pout"])
    if who.beard:
        patch.paint(lips - 0.028, who.skin, soft=0.01)
    else:
        shadow = ellipse(x, y - middle - down - who.lip - 0.06, 0.55 * width, 0.02)
        patch.paint(shadow, shade(who.skin, 0.78), 0.6, soft=0.02)
    patch.paint(lips, who.lips)
    patch.paint(opening(0.011, 0.011, 0.011), shade(who.lips, 0.40), opened)
    slope = 1.1 * m["curve"] * np.clip(s, -1, 1)
    seam = np.hypot(np.maximum(np.abs(x) - width, 0), (y - middle) / np.sqrt(1 + slope**2)) - 0.012
    patch.paint(seam, shade(who.lips, 0.35), 1 - opened)
    patch.paint(inside, (0.28, 0.05, 0.07))
    arc = np.maximum(1 - np.minimum(np.abs(s), 1) ** power, 0) ** (1 / power)
    top, bottom = middle - up * arc, middle + down * arc
    tongue, bite = np.clip(m["tongue"], 0, 1), np.clip(m["bite"], 0, 1)
    resting = np.maximum(inside, ellipse(x, y - bottom - 0.03, 0.7 * width, 0.075 + 0.03 * tongue))
    patch.paint(resting, (0.80, 0.33, 0.36), np.clip(3 * m["open"], 0, 1) * np.clip(0.3 + tongue, 0, 1))
    arc = arc**0.3
    tooth = np.clip(m["teeth"], 0, 1) * np.minimum(0.075, 0.6 * (up + down) * (1 - 0.35 * bite))
    upper = np.maximum(inside + 0.004, patch.even(y - top - tooth * arc))
    patch.paint(upper, TOOTH, np.clip(3 * m["teeth"], 0, 1))
    tooth = bite * np.minimum(0.06, 0.4 * (up + down))
    patch.paint(
        np.maximum(inside + 0.004, patch.even(bottom - tooth * arc - y)), shade(TOOTH, 0.95), 3 * bite.clip(0, 1 / 3)
    )
    gaps = np.abs((x / 0.055 + 0.5) % 1 - 0.5) * 0.055 - 0.0035
    patch.paint(np.maximum(inside + 0.012, gaps), (0.45, 0.35, 0.36), 0.55 * bite)
    out = np.maximum(ellipse(x, y - bottom - 0.015, 0.48 * width, 0.10), top + 0.035 - y)
    far = np.clip(2.5 * tongue - 1.5, 0, 1)
    patch.paint(out, (0.88, 0.42, 0.45), far)
    patch.paint(np.maximum(out + 0.01, np.abs(x) - 0.006), (0.65, 0.25, 0.30), far)
    if who.moustache:
        q = np.abs(x)
        droop = 0.15 * np.clip(q - 0.05, 0, 1) * (1 - m["curve"])
        thick = 0.032 * np.clip(1.25 - q / 0.2, 0.2, 1)
        patch.paint(capsule(q, y + 0.075 + up - droop, (0.03, 0.0), (0.17, 0.02), thick), who.hair.colour)


def eye(face: Face, side: int) -> None:
    """The left eye of the picture for side -1, the right one for 1."""
    who, m = face.who, face.m
    u, v, narrow = face.at(side * who.eyes[0], who.eyes[1])
    a, b = who.eye[0] * narrow, who.eye[1] * (1 + 0.12 * np.clip(m["lid"], 0, 1))
    patch = face.head.patch(u, v, who.eye[0] * 1.5, who.eye[1] * 1.7)
    x, y = patch.x, patch.y
    ball = ellipse(x, y, a, b)
    squint = np.clip(m["squint"], 0, 1)
    opened = np.clip(who.lid + 0.42 * m["lid"] - 0.1 * m["squint"], 0.08, 1.02)
    across = (x / a) ** 2
    upper = b * (1 - 2 * opened) - 0.45 * m["slant"] * x * side + b * (0.32 + 0.4 * squint) * across
    lower = b * (1.05 - 1.15 * squint) - 0.62 * b * (1 - across) * squint
    seen = np.maximum(ball, np.maximum(upper - y, y - lower))
    patch.paint(ball - 0.014, shade(who.skin, 0.80), 0.8, soft=0.012)
    patch.paint(ball, shade(who.skin, 0.96))
    patch.paint(np.maximum(ball, y - 0.2 * b), shade(who.skin, 0.87), soft=0.01)
    more = 0.6 * who.lashes
    lashes = np.maximum(ellipse(x, y, a + more, b + more), np.maximum(upper - y - who.lashes, y - lower - 0.01))
    patch.paint(patch.even(np.maximum(lashes, y - 0.75 * b)), INK)
    patch.paint(seen, (0.97, 0.97, 0.98))
    patch.paint(np.maximum(seen, ellipse(x, y - upper, 3 * a, 0.035)), (0.62, 0.66, 0.74), 0.5, soft=0.01)
    r = who.iris_radius * (1 + 0.6 * m["iris"])
    x = x - np.clip(0.7 * face.gaze + 0.25 * face.yaw, -1, 1) * (a - 0.6 * r)
    y = y - b * (0.1 + 0.4 * m["look"])
    iris = np.hypot(x / narrow, y) - r
    patch.paint(np.maximum(seen, iris), shade(who.iris, 0.55))
    patch.paint(np.maximum(seen, iris + 0.012), shade(who.iris, 1.15))
    patch.paint(np.maximum(seen, iris + 0.45 * r), (0.04, 0.03, 0.04))
    gleam = np.hypot(x + 0.35 * r - 0.5 * r * face.light, y + 0.42 * r) - 0.26 * r
    patch.paint(np.maximum(seen, gleam), (1.0, 1.0, 1.0))


def brow(face: Face, side: int) -> None:
    who, m = face.who, face.m
    u, v, narrow = face.at(side * who.eyes[0], who.brow_height)
    u = u + side * (0.01 - 0.035 * m["brow_close"])
    v = v - 0.115 * m["brow_up"] - 0.07 * m["brow_skew"] * side
    length, thick = who.brow
    patch = face.head.patch(u, v, length * 1.4, length * 1.6)
    outwards = patch.x * side / narrow
    along = np.clip(outwards, -length, length)
    slope = 0.5 * m["brow_in"]
    path = slope * along + who.brow_arch * (along**2 / length - 0.15 * length)
    taper = thick * np.clip(0.95 - 0.45 * along / length, 0.35, 1.3)
    patch.paint(
        np.hypot(outwards - along, (patch.y - path) / np.sqrt(1 + slope**2)) - taper, shade(who.hair.colour, 0.62)
    )


def glasses(face: Face) -> None:
    for side in (-1, 1):
        u, v, narrow = face.at(side * face.who.eyes[0], face.who.eyes[1] + 0.02, 0.03)
        patch = face.head.patch(u, v, 0.25, 0.25)
        ring = ellipse(patch.x, patch.y, 0.185 * narrow, 0.19)
        patch.paint(ring, (0.85, 0.95, 1.0), 0.10)
        patch.paint(np.abs(ring) - 0.012, FRAME)
    u, v, _ = face.at(0.0, face.who.eyes[1] - 0.01, 0.05)
    patch = face.head.patch(u, v, 0.08, 0.06)
    patch.paint(capsule(patch.x, patch.y - 1.5 * patch.x**2, (-0.035, 0.0), (0.035, 0.0), 0.011), FRAME)
