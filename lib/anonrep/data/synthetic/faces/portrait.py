"""Whole portraits: everything from the backdrop to the hair, painted from back to front."""

import numpy as np

from anonrep.data.synthetic.faces.character import Character
from anonrep.data.synthetic.faces.features import Face, Moment, brow, eye, glasses, mouth, nose
from anonrep.data.synthetic.faces.shapes import blend, box, capsule, ellipse, shade, zigzag

BATCH = 4  # images at once: more of them leave the processor's cache
BACKDROP = (0.60, 0.66, 0.72)
FRECKLES = ((0, 0), (0.06, 0.03), (-0.06, 0.025), (0.03, -0.035), (-0.035, -0.03), (0, 0.06))


def draw(who: Character, moment: Moment, size: int = 256) -> np.ndarray:
    """One image for each of B moments: uint8 (B, size, size, 3). The same arguments give the same bytes."""
    batches = [moment.part(slice(first, first + BATCH)) for first in range(0, len(moment), BATCH)]
    return np.concatenate([_draw(Face(who, batch, size)) for batch in batches])


def _draw(face: Face) -> np.ndarray:
    _backdrop(face)
    _hair_behind(face)
    _body(face)
    _ears(face)
    _head(face)
    nose(face)
    mouth(face)
    for side in (-1, 1):
        eye(face, side)
    if face.who.glasses:
        glasses(face)
    _hair(face)
    for side in (-1, 1):
        brow(face, side)
    _light(face)
    return np.rint(face.rgb * 255).astype(np.uint8).transpose(0, 2, 3, 1)


def _backdrop(face: Face) -> None:
    patch = face.page.patch()
    glow = np.exp(-((patch.x - 0.12 * face.light) ** 2) - (patch.y + 0.2) ** 2)
    face.rgb[:] = shade(BACKDROP, 1).reshape(3, 1, 1) * (0.80 + 0.36 * glow)[:, None]


def _light(face: Face) -> None:
    """Brighter on the side that the light comes from, a little darker below."""
    patch = face.head.patch(0, 0, 3, 3)
    face.rgb *= (1 + 0.22 * face.light * np.tanh(1.7 * patch.x) - 0.05 * patch.y)[:, None]
    np.clip(face.rgb, 0, 1, out=face.rgb)


def _body(face: Face) -> None:
    who = face.who
    patch = face.body.patch(0, 0.85, 1.0, 0.5)
    x, y = patch.x, patch.y + 0.85
    shoulders = box(x, y - 1.28, who.shoulders, 0.52, 0.34)
    patch.paint(shoulders, who.shirt)
    patch.paint(shoulders + 0.12, shade(who.shirt, 1.06), soft=0.05)
    patch.paint(ellipse(x, y - 0.80, who.neck * 1.45, 0.15), shade(who.shirt, 0.72))
    neck = capsule(x, y, (0, 0.4), (0, 0.85), who.neck)
    patch.paint(blend(neck, ellipse(x, y - 0.80, who.neck * 1.2, 0.11), 0.05), shade(who.skin, 0.80))


def _ears(face: Face) -> None:
    who = face.who
    if not who.ears:
        return
    a, b = who.ears
    for side in (-1, 1):
        u = side * (who.skull[0] + 0.35 * a) * np.cos(face.yaw) - 0.12 * np.sin(face.yaw)
        patch = face.head.patch(u, 0.06 - 0.15 * face.pitch, a + 0.03, b + 0.03)
        patch.paint(ellipse(patch.x, patch.y, a, b), shade(who.skin, 0.93))
        hollow = ellipse(patch.x - side * 0.01, patch.y, a * 0.55, b * 0.6)
        patch.paint(hollow, shade(who.skin, 0.76), soft=0.012)


def _outline(face: Face, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The distance to the head's outline: a skull, and a jaw that drops when the mouth opens."""
    who = face.who
    a, b = who.jaw[0] * (1 + 0.05 * face.m["cheek"]), who.jaw[1] + 0.45 * face.drop
    jaw = ellipse(x - 0.05 * np.sin(face.yaw), y - who.chin - 0.6 * face.drop, a, b)
    return blend(ellipse(x, y + 0.14, *who.skull), jaw, 0.22)


def _head(face: Face) -> None:
    who, m = face.who, face.m
    patch = face.head.patch(0, 0.05, 0.70, 0.82)
    x, y = patch.x, patch.y + 0.05
    head = _outline(face, x, y)
    patch.paint(head, who.skin)
    turned_away = np.clip(1 + head / 0.13, 0, 1) ** 2
    patch.paint(head, shade(who.skin, 0.74), 0.8 * turned_away)
    u, v, _ = face.at(0.0, -0.2)
    forehead = np.exp(-(((x - u - 0.1 * face.light) / 0.3) ** 2) - ((y - v) / 0.2) ** 2)
    patch.paint(head, shade(who.skin, 1.12), 0.5 * forehead)
    for side in (-1, 1):
        u, v, narrow = face.at(side * 0.29, 0.17)
        cheek = np.exp(-(((x - u) / (0.13 * narrow)) ** 2) - ((y - v + 0.03 * m["cheek"]) / 0.1) ** 2)
        patch.paint(head, shade(who.skin, (1.0, 0.72, 0.70)), cheek * (0.35 + 0.65 * m["cheek"]) * who.blush)
        for i, j in FRECKLES if who.freckles else ():
            u, v, narrow = face.at(side * 0.27 + i, 0.15 + j)
            spot = face.head.patch(u, v, 0.03, 0.03)
            spot.paint(ellipse(spot.x, spot.y, 0.011 * narrow, 0.011), shade(who.skin, (0.84, 0.66, 0.54)))
    if who.beard:
        u, v, _ = face.at(0.0, 0.0)
        edge = v + 0.26 + 0.2 * face.drop - 0.55 * np.minimum(((x - u) / who.skull[0]) ** 4, 1)
        patch.paint(np.maximum(head, patch.even(edge - y)), who.hair.colour, 0.93)


def _hair_behind(face: Face) -> None:
    hair = face.who.hair
    for u, v, r in hair.buns:
        u, v = u * np.cos(face.yaw) - 0.1 * np.sin(face.yaw), v - 0.25 * face.pitch
        patch = face.head.patch(u, v, r * 1.1, r * 1.1)
        bun = np.hypot(patch.x, patch.y) - r
        patch.paint(bun, shade(hair.colour, 0.92))
        patch.paint(bun, shade(hair.colour, 0.70), 0.7 * np.clip(1 + bun / 0.12, 0, 1) ** 2)
        for k in (-0.5, 0.0, 0.5):
            strand = np.abs(np.hypot(patch.x - k * r, patch.y - 1.2 * r) - 1.25 * r) - 0.006
            patch.paint(np.maximum(bun + 0.02, strand), shade(hair.colour, 0.72), 0.7)
    if hair.back:
        a, top, bottom, radius = hair.back
        patch = face.head.patch(0, (top + bottom) / 2, a * 1.2, (bottom - top) / 2 + 0.02)
        patch.paint(
            box(patch.x + 0.15 * np.sin(face.yaw), patch.y, a, (bottom - top) / 2, radius), shade(hair.colour, 0.80)
        )


def _hair(face: Face) -> None:
    """The cap, above its line on the forehead."""
    who, hair = face.who, face.who.hair
    patch = face.head.patch(0, -0.42, 0.8, 0.62)
    x, y = patch.x, patch.y - 0.42
    a, b = who.skull
    turned = x - 0.2 * np.sin(face.yaw)
    height, lean, droop = hair.line
    line = height + 0.35 * np.sin(face.pitch) + lean * turned + droop * np.minimum((turned / a) ** 4, 1.2)
    line = line + hair.wave[0] * zigzag(turned * hair.wave[1] + 0.5)
    angle = np.arctan2(x, -y - 0.14)
    crown = np.clip(np.cos(angle), 0, 1)
    thick = hair.cap[1] + (hair.cap[0] - hair.cap[1]) * crown
    rise, where, width = hair.quiff
    if rise:
        thick = thick + rise * np.exp(-(((angle - where - 0.3 * face.yaw) / width) ** 2))
    depth, number = hair.spikes
    if depth:
        thick = thick + depth * zigzag((angle + 0.25 * face.yaw) * number / (2 * np.pi)) * np.clip(1.5 * crown, 0, 1)
    thick = thick * np.clip((line - y) / 0.25, 0, 1)  # it ends on the head, not beside it
    over = np.maximum(ellipse(x, y + 0.14, a, b) - thick, hair.flat - y)
    cap = patch.even(np.maximum(over, y - line))
    patch.paint(np.maximum(cap - 0.02, 3 * _outline(face, x, y)), shade(who.skin, 0.70), 0.35, soft=0.03)
    patch.paint(cap, hair.colour)
    gloss = -(((np.hypot(x / a, (y + 0.14) / b) - 0.93) / 0.07) ** 2) - ((angle - 0.5 * face.light) / 0.5) ** 2
    patch.paint(cap, shade(np.add(shade(hair.colour, 1.1), 0.13), 1), 0.55 * np.exp(gloss))
