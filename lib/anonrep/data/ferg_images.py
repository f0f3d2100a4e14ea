"""FERG-DB's images: from the bytes of a file, checked, to small grey images, on all cores."""

import hashlib
import io
import os
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from anonrep.data.ferg_files import File
from anonrep.data.ferg_format import SIZE

SYNTHETIC = "Synthetic stand-in for FERG-DB: drawn by a program, nobody's face"  # a comment in each image of a stand-in
IMAGE_LIMIT = 2**20  # bytes; uncompressed, an image has 0.2 MB
BATCH = 32  # images that a thread reads before it hands them over


def read_images(files: list[File], size: int) -> list[tuple[np.ndarray, bytes, bool] | str]:
    """What `_image` says of each file. In batches: a thread that hands over each image waits for the others' turns."""
    batches, done = [files[start : start + BATCH] for start in range(0, len(files), BATCH)], []
    with ThreadPoolExecutor(os.cpu_count()) as pool, tqdm(desc="reading", total=len(files), unit=" images") as bar:
        for batch in pool.map(lambda batch: [_image(file, size) for file in batch], batches):
            done += batch
            bar.update(len(batch))
    return done


def _image(file: File, size: int) -> tuple[np.ndarray, bytes, bool] | str:
    """The grey image, the sha256 of the file and whether it is synthetic; or, in words, what is wrong."""
    try:
        data = file.read(IMAGE_LIMIT + 1)
        if len(data) > IMAGE_LIMIT:
            return f"more than {IMAGE_LIMIT} bytes"
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size != (SIZE, SIZE) or image.mode not in ("RGB", "RGBA", "P", "L"):
                return f"{image.size[0]} x {image.size[1]} pixels, mode {image.mode}"
            _check(data)
            grey = shrink(image, size)
            synthetic = image.info.get("Comment") == SYNTHETIC
    except UnidentifiedImageError:
        return "unreadable, no PNG"
    except Exception as error:  # zipfile, zlib, struct and PIL each have their own way to say "damaged"
        return f"unreadable or truncated ({error})"
    return grey, hashlib.sha256(data).digest(), synthetic


def _check(png: bytes) -> None:
    """Raise ValueError unless every chunk is whole and has its checksum: PIL passes over those of the pixels.

    `Image.verify` says the same and wants the file opened again, which is felt in tens of thousands of images.
    """
    view, start, kind = memoryview(png), 8, b""
    while kind != b"IEND":
        end = start + 8 + int.from_bytes(view[start : start + 4])
        kind, checksum = png[start + 4 : start + 8], view[end : end + 4]
        if len(checksum) < 4 or zlib.crc32(view[start + 4 : end]) != int.from_bytes(checksum):
            raise ValueError(f"broken chunk {kind!r}")
        start = end + 4


def shrink(image: Image.Image, size: int) -> np.ndarray:
    """Colour to grey (ITU-R 601), then the mean over each pixel's square: uint8 (size, size)."""
    return np.asarray(image.convert("L").resize((size, size), Image.Resampling.BOX))
