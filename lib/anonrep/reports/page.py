"""An executed notebook as one offline HTML file: no request leaves it, formulas are MathML, figures are inside."""

import html
import re
from base64 import b64decode
from pathlib import Path

import nbformat
from latex2mathml.converter import convert as mathml
from markupsafe import Markup
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from anonrep.reports import elements
from anonrep.utils.files import write_text

SHOWN = ["text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/latex", "text/plain"]
SPELLED = {r"\arg": r"\operatorname{arg}", r"\not=": r"\neq"}  # what latex2mathml does not know
TAG = re.compile(r"\\tag\*?\{([^{}]*)\}")


def to_html(notebook: str | Path, out: str | Path, title: str | None = None, hide_code: bool = False) -> None:
    """Render an executed notebook into one file at `out`, atomically.

    title      of the page; None: the notebook's first heading, or its file name
    hide_code  a report: no inputs and nothing that was printed; otherwise inputs are folded away
    """
    notebook = Path(notebook)
    page = render(nbformat.read(notebook, as_version=4), title, hide_code, fallback=notebook.stem)
    write_text(out, page)


def render(node: nbformat.NotebookNode, title: str | None, hide_code: bool, fallback: str = "Notebook") -> str:
    """The page of a notebook as text."""
    exporter = Exporter(hide_code)
    body = "\n".join(cell.source for cell in node.cells if cell.cell_type == "markdown")
    heading = re.search(r"^# +(.+)$", body, re.MULTILINE)
    resources = {
        "metadata": {"name": fallback, "path": "."},
        "title": title or (heading[1].strip() if heading else fallback),
        "hide_code": hide_code,
        "code_css": "" if hide_code else _code_css(),
    }
    page, _ = exporter.from_notebook_node(node, resources=resources)
    # A report runs no script, whatever its content says; a notebook's page may hold a widget's.
    page = page.replace("SCRIPTS", "'unsafe-inline'" if "<script" in page and not hide_code else "'none'", 1)
    return page.replace("<h2 ", contents(exporter.headings) + "<h2 ", 1)


class Exporter(HTMLExporter):
    """nbconvert's exporter with our template, our Markdown and no other resource."""

    def __init__(self, hide_code: bool) -> None:
        config = Config({"NbConvertBase": {"display_data_priority": SHOWN}})
        super().__init__(
            config=config,
            template_name="report",
            extra_template_basedirs=[str(elements.TEMPLATES)],
            embed_images=True,
            exclude_input=hide_code,
            preprocessors=["nbconvert.preprocessors.CoalesceStreamsPreprocessor"],  # a progress bar is one output
        )
        self.headings: list[tuple[str, str]] = []

    def default_filters(self):
        """The usual ones and ours."""
        yield from super().default_filters()
        yield ("figure", figure)
        yield ("said", self.said)
        yield ("tex", lambda text: equation(text.strip().strip("$")))

    def markdown2html(self, context, source: str) -> str:
        """Markdown with MathML; second-level headings are remembered for the table of contents."""
        cell = context.get("cell", {})
        renderer = Renderer(self.headings, escape=False, attachments=cell.get("attachments", {}), embed_images=True)
        return MarkdownWithMath(renderer=renderer).render(source)

    markdown2html.jinja_pass_arg = HTMLExporter.markdown2html.jinja_pass_arg

    def said(self, source: str) -> str:
        """Markdown that code put together: what came from data in it is text, and no element of the page."""
        return MarkdownWithMath(renderer=Renderer(self.headings, escape=True)).render(source)


class Renderer(IPythonRenderer):
    """Markdown to HTML: formulas to MathML, headings with an id."""

    def __init__(self, headings: list[tuple[str, str]], **options) -> None:
        super().__init__(**options)
        self.headings = headings

    def heading(self, text: str, level: int, **attributes) -> str:
        """A heading that can be linked to."""
        plain = html.unescape(re.sub(r"<math.*?</math>|<[^>]+>", "", text, flags=re.DOTALL))
        name = base = re.sub(r"\W+", "-", plain.lower()).strip("-") or "section"
        taken = {known for known, _ in self.headings}
        number = 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        if level == 2:
            self.headings.append((name, text))
        return f'<h{level} id="{name}">{text}</h{level}>\n'

    def table(self, text: str) -> str:
        """A table scrolls inside itself."""
        return f'<div class="scroll"><table>\n{text}</table></div>\n'

    def inline_math(self, body: str) -> str:
        """$...$"""
        return formula(body)

    def block_math(self, body: str) -> str:
        """$$...$$"""
        return equation(body)

    def latex_environment(self, name: str, body: str) -> str:
        """An align, gather or equation environment; only an explicit tag gives a number."""
        bare = name.removesuffix("*")
        inner = body if bare == "equation" else rf"\begin{{{bare}*}}{body}\end{{{bare}*}}"
        return equation(inner)


def formula(body: str, display: str = "inline") -> str:
    """TeX to MathML. Raises ValueError for a command that the converter passes through instead of knowing it."""
    for known, spelled in SPELLED.items():
        body = re.sub(re.escape(known) + r"(?![A-Za-z])", lambda _, text=spelled: text, body)
    result = mathml(body, display=display)
    if unknown := re.search(r"\\[A-Za-z]+", result):
        raise ValueError(f"the offline page cannot show {unknown[0]} in the formula {body.strip()}: write it otherwise")
    return result


def equation(body: str) -> str:
    """A displayed formula as MathML, with its tag on the right."""
    tag = TAG.search(body)
    return str(elements.equation(Markup(formula(TAG.sub("", body).strip(), "block")), tag and tag[1]))


def contents(headings: list[tuple[str, str]]) -> str:
    """A table of contents; nothing for a page of one or two sections."""
    return str(elements.contents([(name, Markup(text)) for name, text in headings])) if len(headings) > 2 else ""


def figure(output: nbformat.NotebookNode, kind: str) -> str:
    """An image output as <figure>: a data URI, its natural width, `alt` and `caption` from its metadata."""
    data, metadata = output.data[kind], {**output.metadata, **output.metadata.get(kind, {})}
    # SVG is text in a notebook, the others are base64 already.
    raw = data.encode() if kind == "image/svg+xml" else b64decode(data)
    alt, width = metadata.get("alt", "Figure without a description"), metadata.get("width") or _width(kind, data)
    source = elements.uri(raw, kind.removeprefix("image/"))
    return str(elements.figure(source, alt, metadata.get("caption"), width))


def _width(kind: str, data: str) -> int | None:
    """Width in CSS pixels, from the SVG's own size (points or pixels) or the PNG's header; None when it has none."""
    if kind == "image/svg+xml":
        found = re.search(r'<svg[^>]*?\swidth="([\d.]+)(pt|px)?"', data)
        return round(float(found[1]) * (4 / 3 if found[2] == "pt" else 1)) if found else None
    if kind == "image/png":
        return int.from_bytes(b64decode(data[:64])[16:20], "big")
    return None


def _code_css() -> str:
    """Colours of highlighted code, light and dark."""
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"
