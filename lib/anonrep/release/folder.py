"""A trained anonymiser applied to a folder of new images: PNG files that say nothing else, and a privacy card."""

import csv
import io
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from anonrep.data.folder_reader import Pictures, read
from anonrep.data.image_reader import SYNTHETIC
from anonrep.release import privacy_card
from anonrep.release.anonymiser import Anonymiser, audited, change, load, stem
from anonrep.utils.files import Plain, replacing, whole_folder

REFUSALS = ("collapsed", "unaudited")
COLUMNS = ("released", "original")  # of the list of names


class ReleaseRefused(Plain, ValueError):
    """A model that should not release anything; `reasons` are among REFUSALS."""

    def __init__(self, reasons: dict[str, str]) -> None:
        ways = ", ".join(repr(reason) for reason in reasons)
        super().__init__(
            "nothing was released: " + "; ".join(reasons.values()) + f". To release all the same, and have the card "
            f"say so, give despite=[{ways}]"
        )
        self.reasons = tuple(reasons)


def release_folder(
    path: str | Path,
    folder: str | Path,
    out: str | Path,
    *,
    mapping: str | Path | None = None,
    despite: Collection[str] = (),
    replace: bool = False,
    order_seed: int | None = None,
    device: str = "auto",
) -> dict:
    """Write every image of `folder` as the model `path` redraws it to the new folder `out`, with the privacy card.

    mapping     a CSV of which file was which, outside `out`, for your eyes only; None: nobody will ever know
    despite     what to release in spite of, of REFUSALS; the card says so
    replace     whether `out` may be an earlier release, which is then gone
    order_seed  for tests alone: who knows it undoes the order. None: the system's randomness, which nobody repeats

    The files are grey PNG without metadata, numbered in a random order, so that neither names nor neighbours tell whose
    they are. Only what is synthetic, the new images or those that the model learned on, says so in every file. The
    folder appears when it is complete, or not at all. Returns the card. Raises ReleaseRefused, a
    ValueError, for a model that collapsed or was not audited; FileExistsError rather than mix with what is there; and
    what `folder_reader.read` raises.
    """
    folder, out = Path(folder).expanduser(), Path(out).expanduser()
    mapping = None if mapping is None else Path(mapping).expanduser()
    model = load(path, device)
    facts = _permitted(path, model, despite)
    check_places(folder, out, mapping, replace)
    new = _new_images(folder, model)
    released = model.redraw(new.images)
    unlike = int((change(new.images, released) > facts["usual"]).sum()) if "usual" in facts else None
    card = privacy_card.card({**facts, "release": {"images": len(new), "unlike": unlike, "synthetic": new.synthetic}})
    synthetic = new.synthetic or model.provenance["source"] == "synthetic"
    order = np.random.default_rng(order_seed).permutation(len(new))
    files = [f"{number:0{len(str(len(new)))}d}.png" for number in range(1, len(new) + 1)]
    with ExitStack() as stack:  # left in reverse: the list of names appears after the folder, and not without it
        table = None if mapping is None else stack.enter_context(replacing(mapping))
        room = stack.enter_context(whole_folder(out, replace=replace))
        if out.exists() and not replace:
            raise FileExistsError(f"{out} is there again, put by when a release was killed: say replace=True")
        for file, image in zip(files, as_seen(released[order], model.provenance), strict=True):
            (room / file).write_bytes(png(image, synthetic=synthetic))
        privacy_card.write(room, card, None if model.pictures is None else as_seen(model.pictures, model.provenance))
        if table is not None:
            _write_table(table, files, [new.names[index] for index in order])
    return card


def as_seen(images: np.ndarray, provenance: dict) -> np.ndarray:
    """Images of a data set as files show them: black is black again where reading has inverted it. uint8 (N, H, W)."""
    return 255 - images if provenance.get("reading", {}).get("inverted") else images


def png(image: np.ndarray, *, synthetic: bool = False) -> bytes:
    """uint8 (H, W) as a PNG file with no word in it, but that it is synthetic; same image, same bytes."""
    comment = PngInfo()
    if synthetic:
        comment.add_text("Comment", f"{SYNTHETIC}: released from images that a program drew, or by a model of such")
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "PNG", pnginfo=comment)
        return file.getvalue()


def _permitted(path: str | Path, model: Anonymiser, despite: Collection[str]) -> dict:
    """The facts that are known of a model, or ReleaseRefused."""
    check_excuses(despite)
    found, reasons = audited(path, model), {}
    collapsed = model.collapsed or (found and found["model"]["collapsed"])
    if collapsed:
        reasons["collapsed"] = f"the model {collapsed}"
    if found is None:
        reasons["unaudited"] = (
            f"there is no audit of these very files ({stem(path)}.audit.json): first call "
            "`anonrep.release.model_audit.audit(path, data, budget)`"
        )
    if refused := {reason: text for reason, text in reasons.items() if reason not in despite}:
        raise ReleaseRefused(refused)
    provenance = model.provenance
    data = {"name": provenance["dataset"], "source": provenance["source"], "private": provenance["private"]}
    blank = {"data": {**data, "size": list(model.size)}, "model": model.facts(), **privacy_card.NOTHING}
    return {**blank, **(found or {}), "against": list(reasons)}


def check_excuses(despite: Collection[str]) -> None:
    """Raise ValueError for what is none of REFUSALS."""
    if isinstance(despite, str):
        raise ValueError(f"despite is the text {despite!r}; expected a list such as [{despite!r}]")
    if unknown := sorted(set(despite) - set(REFUSALS)):
        raise ValueError(f"despite names {', '.join(unknown)}; expected some of {', '.join(REFUSALS)}")


def check_places(folder: Path, out: Path, mapping: Path | None, replace: bool) -> None:
    """Refuse places where something would get lost, mixed up or published; as `release_folder` takes them."""
    inside, target = folder.resolve(), out.resolve()
    if inside == target or inside in target.parents or target in inside.parents:
        raise ValueError(f"{out} and {folder} lie inside one another; expected a place of its own for the release")
    if out.exists() and not (replace and (out / f"{privacy_card.NAME}.json").is_file()):
        way_out = "it is no earlier release, which could be replaced" if replace else "or say replace=True"
        raise FileExistsError(f"{out} is there already; expected a new folder: {way_out}")
    if mapping is None:
        return
    if target in (place := mapping.resolve()).parents or place == target:
        raise ValueError(f"{mapping} would be published with the release in {out}; expected a place outside")
    if place.exists() and not (replace and _is_table(place)):
        way_out = "it is no earlier list of names, which could be replaced" if replace else "or say replace=True"
        raise FileExistsError(f"{mapping} is there already; expected a new file: {way_out}")


def _new_images(folder: Path, model: Anonymiser) -> Pictures:
    """The folder's images, read as the training images were."""
    reading = model.provenance.get("reading", {"resized": False, "inverted": False})
    new = read(folder, size=model.size if reading["resized"] else None, invert=reading["inverted"])
    if new.images.shape[1:] != model.size:
        found, expected = ("{} x {}".format(*shape) for shape in (new.images.shape[1:], model.size))
        raise ValueError(f"{folder}: images of {found} pixels; expected {expected}, as the model was trained on")
    return new


def _write_table(path: Path, files: Sequence[str], names: Sequence[str]) -> None:
    """Which file was which, readable by its owner alone."""
    path.chmod(0o600)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *zip(files, names, strict=True)])


def _is_table(path: Path) -> bool:
    """Whether this is a file that `_write_table` wrote."""
    try:
        with path.open("rb") as file:
            return file.readline(100).strip() == ",".join(COLUMNS).encode()
    except OSError:
        return False
