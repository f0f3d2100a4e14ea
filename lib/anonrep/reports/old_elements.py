"""Elements of a page as HTML text: pictures, tables of them, a sentence, and a slider that needs no script."""

import html
import io
from base64 import b64encode
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

Cell = tuple[np.ndarray, str]  # an image and its text for those who cannot see it
STOPS = 12  # of a slider; report.css has a rule for each


def uri(data: bytes, kind: str) -> str:
    """Bytes as an address that needs no file."""
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def picture(image: np.ndarray, alt: str, width: int) -> str:
    """An image element about `width` pixels wide, pixels kept square and sharp.

    uint8 (H, W) is ink and becomes black on white paper; (H, W, 3) is shown as it is.
    """
    with io.BytesIO() as file:
        Image.fromarray(255 - image if image.ndim == 2 else image).save(file, "png")
        source = uri(file.getvalue(), "png")
    wide = image.shape[1] * max(1, round(width / image.shape[1]))
    style = f"width:{wide}px; image-rendering:pixelated; display:block; margin:1px auto; max-width:none"
    return f'<img src="{source}" alt="{html.escape(alt)}" style="{style}">'


def table(rows: Sequence[tuple[str, Sequence[Cell | str]]], width: int = 60) -> str:
    """A row of cells for each label: images about `width` pixels wide, or HTML."""
    lines = []
    for label, cells in rows:
        shown = [cell if isinstance(cell, str) else picture(*cell, width) for cell in cells]
        line = "".join(f'<td style="padding:1px 2px; text-align:center">{cell}</td>' for cell in shown)
        lines.append(f'<tr><td style="padding-right:8px; text-align:right; white-space:nowrap">{label}</td>{line}</tr>')
    return f'<table style="line-height:1.35">{"".join(lines)}</table>'


def light(image: np.ndarray, alt: str) -> Cell:
    """A cell whose image is light and no ink on paper: grey uint8 (H, W) as colours, which `picture` leaves alone."""
    return np.repeat(image[..., None], 3, axis=2), alt


def note(text: str) -> str:
    """A sentence by itself, such as what is missing and which command makes it."""
    return f'<p style="line-height:1.4; margin:4px 0; max-width:52em">{html.escape(text)}</p>'


def slider(name: str, label: str, panels: Mapping[str, str]) -> str:
    """A slider for a page without scripts: stops, one of them chosen by touch or by the arrow keys, show a panel each.

    name    of the slider on its page;  label  what moves;  panels  at most STOPS: a stop's text to HTML
    """
    if not 1 <= len(panels) <= STOPS:
        raise ValueError(f"{len(panels)} panels; expected 1 to {STOPS}")
    stops = ""
    for i, stop in enumerate(panels):
        checked = " checked" if i == 0 else ""
        stops += f'<input type="radio" name="{name}" id="{name}-{i}"{checked}>'
        stops += f'<label for="{name}-{i}">{html.escape(stop)}</label>'
    shown = "".join(f'<div class="panel scroll" tabindex="-1">{panel}</div>' for panel in panels.values())
    title = f'<span class="moves" id="{name}">{html.escape(label)}</span>'
    return f'<div class="slider" role="radiogroup" aria-labelledby="{name}">{title}{stops}{shown}</div>'
