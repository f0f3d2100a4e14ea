"""One image file as an array, read strictly: whatever is wrong with it is told in words.

Read are PNG, JPEG, BMP, TIFF, GIF, WebP and PNM with one picture a file. Colour becomes grey (ITU-R 601), what is
transparent white, 16 bits become 8, and EXIF turns are undone.
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from anonrep.data.image_tree import File

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "PPM")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "I;16", "I;16L", "I;16B")
SIDES = (8, 128)  # pixels of a side: attackers' networks halve it three times, and all of them grow with its square
PIXELS = 50_000_000  # of an image as it lies there
BYTES = 64 * 2**20  # of a file
SYNTHETIC = "Synthetic"  # how the comment begins that every synthetic image carries


@dataclass(frozen=True)
class Picture:
    """One image as read."""

    grey: np.ndarray  # uint8 (H, W)
    size: tuple[int, int]  # before resizing
    colour: bool
    synthetic: bool
    sha256: bytes  # of the file
    look: bytes  # sha256 of the grey pixels before resizing


def fault(image: Image.Image) -> str | None:
    """Why an opened file is not one picture of a kind and size that can be used; None if it is."""
    if image.width * image.height > PIXELS:
        return f"{by(image.size[::-1])} pixels; expected at most {PIXELS // 10**6} million in all"
    # Telephones put a second, small picture behind the first (MPO).
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        return f"{image.n_frames} pictures in one file; expected one"
    if image.mode not in MODES and (image.mode, image.format) != ("I", "PPM"):
        return f"mode {image.mode}; expected grey, colour or a palette of 8 bits, or grey of 16"
    return None


def read_image(
    file: File,
    shape: tuple[int, int] | None,
    *,
    formats: Sequence[str] = FORMATS,
    most: int = BYTES,
    fault: Callable[[Image.Image], str | None] = fault,
) -> Picture | str:
    """One image; or, in words, what is wrong with it.

    shape    (height, width) to which it is resized by the mean over boxes; None: it stays as it is
    formats  PIL's names of those that are read
    most     bytes of a file
    fault    says what is wrong with an opened image before its pixels are read
    """
    try:
        data = file.read(most + 1)
        if len(data) > most:
            return f"more than {most} bytes"
        with Image.open(io.BytesIO(data), formats=formats) as image:
            if wrong := fault(image):
                return wrong
            image.verify()  # the checksums; afterwards the file has to be opened again
        with Image.open(io.BytesIO(data), formats=formats) as image:
            image.load()
            synthetic = str(image.info.get("Comment")).startswith(SYNTHETIC)
            ImageOps.exif_transpose(image, in_place=True)
            grey, colour = to_grey(image)
    except UnidentifiedImageError:
        return f"unreadable; expected {', '.join(formats)}"
    except Exception as error:  # PIL, zipfile, zlib, struct and the system each have their own way to say "damaged"
        return f"unreadable or truncated ({error})"
    look = hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).digest()
    small = grey if shape is None else resized(grey, shape)
    return Picture(small, grey.shape, colour, synthetic, hashlib.sha256(data).digest(), look)


def shape_of(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """(height, width) from what `folder_reader.read` is given. Raises ValueError for no size, and one out of bounds."""
    if size is None:
        return None
    shape = (size, size) if isinstance(size, int) else tuple(size)
    if len(shape) != 2 or not all(type(side) is int and SIDES[0] <= side <= SIDES[1] for side in shape):
        raise ValueError(f"size {size!r}; expected one or two whole numbers of pixels, {SIDES[0]} to {SIDES[1]}")
    return shape


def to_grey(image: Image.Image) -> tuple[np.ndarray, bool]:
    """A picture in one of MODES as uint8 (H, W), and whether colour was lost."""
    if image.mode.startswith("I"):  # a PNM file of 16 bits is opened as one of 32
        return np.round(np.asarray(image) / 257).astype(np.uint8), False  # PIL would cut everything above 255
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image if image.mode == "RGB" else image.convert("RGB")
    red, green, blue = np.moveaxis(np.asarray(image), 2, 0)
    colour = not (np.array_equal(red, green) and np.array_equal(red, blue))
    return np.asarray(image.convert("L")), colour


def resized(grey: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W) to another (height, width): each new pixel the mean of the box it covers."""
    return np.asarray(Image.fromarray(grey).resize(shape[::-1], Image.Resampling.BOX))


def by(size: tuple[int, int]) -> str:
    """A size as messages write it."""
    return f"{size[0]} x {size[1]}"
