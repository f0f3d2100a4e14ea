"""Signed distances and antialiased paint: what the synthetic faces are drawn with, whole batches of images at once.

Lengths are fractions of half the image's side; x runs to the right and y downwards, both from -1 to 1. A number that
differs from image to image has the shape (B, 1, 1). A distance is negative inside a shape and positive outside.
"""

import numpy as np


class Layer:
    """B colour images to paint on, in coordinates that are moved, turned and scaled for each image.

    rgb             float32 (B, 3, S, S), from 0 to 1; painted in place
    x, y            where the layer's origin lies
    turn, scale     radians, clockwise; how much larger the layer is than the image
    """

    def __init__(self, rgb: np.ndarray, x=0.0, y=0.0, turn=0.0, scale=1.0) -> None:
        self.rgb, self.size = rgb, rgb.shape[-1]
        self.x, self.y, self.scale = x, y, scale
        self.cosine, self.sine = np.cos(turn), np.sin(turn)

    def patch(self, x=0.0, y=0.0, width=1.0, height=1.0) -> "Patch":
        """The pixels that hold, in all B images, the box about (x, y) that reaches `width` and `height` each way."""
        corners = [(x + i * width, y + j * height) for i in (-1, 1) for j in (-1, 1)]
        columns = self._pixels([self.x + self.scale * (self.cosine * u - self.sine * v) for u, v in corners])
        rows = self._pixels([self.y + self.scale * (self.sine * u + self.cosine * v) for u, v in corners])
        axis = ((np.arange(self.size) + 0.5) * (2 / self.size) - 1).astype(np.float32)
        right, down = axis[None, None, columns] - self.x, axis[None, rows, None] - self.y
        u = (self.cosine * right + self.sine * down) / self.scale
        v = (self.cosine * down - self.sine * right) / self.scale
        return Patch(self.rgb[:, :, rows, columns], u - x, v - y, 2 / (self.size * self.scale))

    def _pixels(self, places: list) -> slice:
        low, high = min(map(np.min, places)), max(map(np.max, places))
        first = int(np.clip(np.floor((low + 1) * self.size / 2) - 1, 0, self.size - 2))
        return slice(first, int(np.clip(np.ceil((high + 1) * self.size / 2) + 1, first + 2, self.size)))


class Patch:
    """Part of a layer: its pixels (B, 3, h, w) and where they lie, x and y (B, h, w), seen from the patch's centre."""

    def __init__(self, rgb: np.ndarray, x: np.ndarray, y: np.ndarray, pixel: float) -> None:
        self.rgb, self.x, self.y, self.pixel = rgb, x, y, pixel

    def even(self, inside: np.ndarray) -> np.ndarray:
        """A distance, to first order, from any function that is negative inside: the function over its slope."""
        down, right = np.gradient(inside, axis=(1, 2))
        return inside * self.pixel / np.maximum(np.hypot(down, right), 1e-6)

    def paint(self, distance: np.ndarray, colour: tuple | np.ndarray, strength=1.0, soft: float = 0.0) -> None:
        """Lay a colour (3,) where the distance is negative; the edge is one pixel wide, and 2 `soft` more."""
        cover = np.clip(0.5 - distance / (self.pixel + 2 * soft), 0, 1)
        if soft:
            cover *= cover * (3 - 2 * cover)
        cover = cover * strength
        rows, columns = (np.flatnonzero(cover.any(axis)) for axis in ((0, 2), (0, 1)))
        if len(rows):  # only the part that is covered costs anything
            part = np.s_[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            colour = np.asarray(colour, np.float32).reshape(3, 1, 1)
            self.rgb[part] += cover[:, None][part] * (colour - self.rgb[part])


def shade(colour: tuple | np.ndarray, by: float | tuple) -> np.ndarray:
    """A colour, darker or lighter: times `by`, at most 1."""
    return np.minimum(np.asarray(colour, np.float32) * np.asarray(by, np.float32), 1)


def ellipse(x, y, a, b):
    """The distance to an ellipse with half-axes a and b, to first order."""
    p, q = x / a, y / b
    return (p * p + q * q - 1) / (2 * np.sqrt((p / a) ** 2 + (q / b) ** 2) + 1e-6)


def capsule(x, y, start: tuple, end: tuple, radius):
    """The distance to a line with round ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
    return np.hypot(x - start[0] - along * dx, y - start[1] - along * dy) - radius


def box(x, y, a, b, radius):
    """The distance to a rectangle with half-sides a and b and round corners."""
    p, q = np.abs(x) - a + radius, np.abs(y) - b + radius
    return np.hypot(np.maximum(p, 0), np.maximum(q, 0)) + np.minimum(np.maximum(p, q), 0) - radius


def blend(first, second, width):
    """The union of two shapes, its seam rounded over `width`."""
    overlap = np.maximum(width - np.abs(first - second), 0)
    return np.minimum(first, second) - overlap * overlap / (4 * width)


def zigzag(x):
    """A wave of straight lines between 0 and 1, one a unit; 1 at x = 0."""
    return np.abs(x % 1 * 2 - 1)
