"""A trained model applied to a folder of new images: PNG files without metadata, and a privacy card."""

import csv
import io
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from anonrep.data.image_files import SYNTHETIC, by
from anonrep.data.image_folder import Pictures, read
from anonrep.release.anonymiser import Anonymiser, audited, change, load, stem
from anonrep.release.privacy_card import NAME, NOTHING, card
from anonrep.release.privacy_card import write as write_card
from anonrep.utils.files import Plain, replacing, whole_folder

REFUSALS = ("collapsed", "unaudited")
COLUMNS = ("released", "original")  # of the mapping


class ReleaseRefused(Plain, ValueError):
    """The model should not release anything; `reasons` are among REFUSALS."""

    def __init__(self, reasons: dict[str, str]) -> None:
        ways = ", ".join(repr(reason) for reason in reasons)
        super().__init__(
            f"nothing was released: {'; '.join(reasons.values())}. To release all the same, give force=[{ways}]: the "
            "card will say so"
        )
        self.reasons = tuple(reasons)


def release_folder(
    path: str | Path,
    folder: str | Path,
    out: str | Path,
    *,
    mapping: str | Path | None = None,
    force: Collection[str] = (),
    replace: bool = False,
    order_seed: int | None = None,
    device: str = "auto",
) -> dict:
    """Redraw every image of `folder` by the model `path` and write it to the new folder `out`, with the privacy card.

    mapping     where to write a CSV of which file was which, outside `out` and for your eyes only; None: nobody will
                ever know
    force       the REFUSALS to override; the card names them
    replace     whether `out` may be an earlier release, which is then deleted
    order_seed  for tests only: whoever knows it can undo the order. None: the system's randomness

    The files are grey PNG without metadata, numbered in a random order, so that neither names nor neighbours reveal
    whose they are. Where the new images or the training images are synthetic, every file says so. The folder appears
    complete or not at all. Returns the card. Raises ReleaseRefused, a ValueError, for a model that collapsed or was not
    audited; FileExistsError if something else is in the way; and what `image_folder.read` raises.
    """
    folder, out = Path(folder).expanduser(), Path(out).expanduser()
    mapping = None if mapping is None else Path(mapping).expanduser()
    model = load(path, device)
    facts = _permitted(path, model, force)
    check_places(folder, out, mapping, replace)
    new = read_as(model.provenance, model.size, folder)
    released = model.redraw(new.images)
    unlike = int((change(new.images, released) > facts["usual"]).sum()) if "usual" in facts else None
    made = card({**facts, "release": {"images": len(new), "unlike": unlike, "synthetic": new.synthetic}})
    synthetic = new.synthetic or model.provenance["source"] == "synthetic"
    comment = f"{SYNTHETIC}: a program drew these images or those that the model learned from" if synthetic else ""
    order = np.random.default_rng(order_seed).permutation(len(new))
    files = [f"{number:0{len(str(len(new)))}d}.png" for number in range(1, len(new) + 1)]
    with ExitStack() as stack:  # it unwinds in reverse: the mapping appears after the folder, and not without it
        table = None if mapping is None else stack.enter_context(replacing(mapping))
        room = stack.enter_context(whole_folder(out, replace=replace))
        if out.exists() and not replace:
            raise FileExistsError(f"{out} is back: a release was killed while it replaced it. Give replace=True")
        for file, image in zip(files, as_seen(released[order], model.provenance), strict=True):
            (room / file).write_bytes(png(image, comment))
        write_card(room, made, None if model.codewords is None else as_seen(model.codewords, model.provenance))
        if table is not None:
            _write_mapping(table, files, [new.names[index] for index in order])
    return made


def as_seen(images: np.ndarray, provenance: dict) -> np.ndarray:
    """Images of a data set as their files show them: inverted again where reading inverted them. uint8 (N, H, W)."""
    return 255 - images if provenance.get("reading", {}).get("inverted") else images


def png(image: np.ndarray, comment: str = "") -> bytes:
    """uint8 (H, W) as a PNG file with no text in it but a comment, if there is one. Same image, same bytes."""
    metadata = PngInfo()
    if comment:
        metadata.add_text("Comment", comment)
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "PNG", pnginfo=metadata)
        return file.getvalue()


def _permitted(path: str | Path, model: Anonymiser, force: Collection[str]) -> dict:
    """The facts known of a model. Raises ReleaseRefused."""
    check_force(force)
    found, reasons = audited(path, model), {}
    collapsed = model.collapsed or (found and found["model"]["collapsed"])
    if collapsed:
        reasons["collapsed"] = f"the model {collapsed}"
    if found is None:
        reasons["unaudited"] = (
            f"there is no audit of these files ({stem(path)}.audit.json): first call "
            "`anonrep.release.model_audit.audit(path, data, budget)`"
        )
    if refused := {reason: text for reason, text in reasons.items() if reason not in force}:
        raise ReleaseRefused(refused)
    provenance = model.provenance
    data = {"name": provenance["dataset"], "source": provenance["source"], "private": provenance["private"]}
    blank = {"data": {**data, "size": list(model.size)}, "model": model.facts(), **NOTHING}
    return {**blank, **(found or {}), "forced": list(reasons)}


def check_force(force: Collection[str]) -> None:
    """Raise ValueError for anything that is not among REFUSALS."""
    if isinstance(force, str):
        raise ValueError(f"force is the text {force!r}; expected a list such as [{force!r}]")
    if unknown := sorted(set(force) - set(REFUSALS)):
        raise ValueError(f"force names {', '.join(unknown)}; expected some of {', '.join(REFUSALS)}")


def check_apart(one: Path, other: Path, expected: str) -> None:
    """Raise ValueError where one of two folders lies inside the other."""
    first, second = one.resolve(), other.resolve()
    if first.is_relative_to(second) or second.is_relative_to(first):
        raise ValueError(f"{one} and {other} lie inside one another; expected {expected}")


def check_places(folder: Path, out: Path, mapping: Path | None, replace: bool) -> None:
    """Refuse places where files would be lost, mixed up or published. Arguments as in `release_folder`."""
    check_apart(out, folder, "a separate folder for the release")
    if mapping and mapping.resolve().is_relative_to(out.resolve()):
        raise ValueError(f"{mapping} would be published with the release in {out}; expected a place outside")
    for place, what, earlier in ((out, "release", _is_release), (mapping, "mapping", _is_mapping)):
        if place and place.exists() and not (replace and earlier(place)):
            why = f"it is no earlier {what}, so it is not replaced" if replace else "or give replace=True"
            raise FileExistsError(f"{place} exists already; expected a new place for the {what}: {why}")


def read_as(provenance: dict, size: tuple[int, int], folder: Path) -> Pictures:
    """The images of a folder, read as the training images were, of (height, width) `size`; ValueError for others."""
    reading = provenance.get("reading", {"resized": False, "inverted": False})
    new = read(folder, size=size if reading["resized"] else None, invert=reading["inverted"])
    if new.images.shape[1:] != size:
        raise ValueError(f"{folder}: images of {by(new.images.shape[1:])} pixels; expected {by(size)}, as in training")
    return new


def _write_mapping(path: Path, files: Sequence[str], names: Sequence[str]) -> None:
    """Which file was which, readable by its owner only."""
    path.chmod(0o600)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *zip(files, names, strict=True)])


def _is_mapping(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.readline(100).strip() == ",".join(COLUMNS).encode()


def _is_release(path: Path) -> bool:
    return (path / f"{NAME}.json").is_file()
