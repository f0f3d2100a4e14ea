"""Elements of a page, made by the macros of `templates/elements.html.j2`, which escape every text they are given."""

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

TEMPLATES = Path(__file__).parent / "templates"
STOPS = 12  # of a slider; report.css has a rule for each
Row = tuple[str, Sequence[str]]  # a label and cells: text, or elements

environment = Environment(autoescape=True, undefined=StrictUndefined, loader=FileSystemLoader(TEMPLATES))
macros = environment.get_template("elements.html.j2").module
NAMES = ("coloured", "contents", "drawing", "equation", "figure", "lines", "marks", "note", "table")
coloured, contents, drawing, equation, figure, lines, marks, note, table = (getattr(macros, name) for name in NAMES)


def uri(data: bytes, kind: str) -> str:
    """Bytes as an address that needs no file."""
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def picture(image: np.ndarray, alt: str, width: int = 60, *, ink: bool = True) -> Markup:
    """An image element about `width` pixels wide, pixels kept square and sharp.

    uint8 (H, W) is shown black on white where it is `ink`, else as light; (H, W, 3) is shown as it is.
    """
    with io.BytesIO() as file:
        Image.fromarray(255 - image if ink and image.ndim == 2 else image).save(file, "png")
        source = uri(file.getvalue(), "png")
    return macros.picture(source, alt, image.shape[1] * max(1, round(width / image.shape[1])))


def slider(name: str, label: str, panels: Mapping[str, Markup]) -> Markup:
    """A slider for a page without scripts: stops, chosen by touch or by the arrow keys, show a panel each.

    name    of the slider on its page;  label  what moves;  panels  at most STOPS: a stop's text to its element
    """
    if not 1 <= len(panels) <= STOPS:
        raise ValueError(f"{len(panels)} panels; expected 1 to {STOPS}")
    return macros.slider(name, label, panels)


def data_table(rows: pd.DataFrame, caption: str = "", *, words: bool = False) -> Markup:
    """A table with its column names as heads. `words`: its cells are text that may be broken into lines.

    In a cell a line break "\\n" starts a small line, such as an interval under its value.
    """
    cells = [[lines(str(cell).split("\n")) for cell in row] for row in rows.itertuples(index=False)]
    return macros.data_table(list(rows), cells, caption, "words" if words else "")
