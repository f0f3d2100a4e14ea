"""Kill the whole pipeline at random moments, again and again, and see that it ends as if nobody had; `make drill`.

    python tests/drill.py --kills 20 --seed 0

One smoke workspace runs undisturbed. In another `pipeline.repro` is killed, now with SIGKILL to it and its stages and
now with SIGINT as from Ctrl-C, after a random number of seconds, and started again at once, until it has been killed as
often as asked. After each kill every artefact that is there must be whole. A run that comes to its end first is
compared and forgotten, and the next one starts from nothing. At last it runs to the end, and both workspaces must hold
the same.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import psutil
from PIL import Image

from anonrep.pipeline import workspace
from anonrep.pipeline.parameters import ParameterError, read
from anonrep.utils.weights import load_weights

ROOT = Path(__file__).parents[1]
WAYS = (signal.SIGKILL, signal.SIGINT)
PLACES = ("data/processed", "models", "build", "reports")
PASSING = ("build/runs", "build/synthetic", "build/downloads")  # logs and what can be made again: no stage reads them
GRACE = 60  # seconds that a pipeline asked to stop may take


def read_npz(path: Path) -> None:
    """Every array of an archive."""
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            file[name]


def read_html(path: Path) -> None:
    """A page to its end."""
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise ValueError("no </html> at its end")


def read_image(path: Path) -> None:
    """All pixels."""
    with Image.open(path) as image:
        image.load()


READ: dict[str, Callable[[Path], object]] = {
    ".npz": read_npz,
    ".safetensors": load_weights,
    ".py": lambda path: compile(path.read_text(encoding="utf-8"), path.name, "exec"),
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".ipynb": lambda path: json.loads(path.read_text(encoding="utf-8"))["cells"],
    ".html": read_html,
    ".svg": ElementTree.parse,
    ".png": read_image,
}


def files(folder: Path) -> Iterator[Path]:
    """Every file in the places where artefacts are, but for what no stage reads."""
    passing = tuple(folder / name for name in PASSING)
    for place in PLACES:
        for path in sorted((folder / place).rglob("*")):
            if path.is_file() and not any(above in passing for above in path.parents):
                yield path


def hidden(path: Path, folder: Path) -> bool:
    """Whether it bears, or lies in a folder that bears, a temporary name."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def artefacts(folder: Path) -> dict[str, bytes]:
    """All artefacts by their paths; no temporary file is one."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in files(folder) if not hidden(path, folder)}


def half_written(folder: Path) -> list[str]:
    """What cannot be read to its end, and why."""
    found = []
    for path in files(folder):
        if hidden(path, folder):
            continue
        try:
            READ[path.suffix](path)
        except Exception as error:  # each reader has its own way to say it
            found.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}")
    return found


def leftovers(folder: Path) -> list[str]:
    """Temporary files and folders that a kill left, build/runs among them."""
    places = [path for place in PLACES for path in (folder / place).rglob(".*")]
    return sorted(str(path.relative_to(folder)) for path in places)


def done(folder: Path) -> dict:
    """What dvc.lock says of each stage; nothing where it is cut short or not there."""
    try:
        return read(folder / "dvc.lock")["stages"]
    except (OSError, ParameterError, TypeError, KeyError):
        return {}


def start(folder: Path, log: Path, jobs: int) -> psutil.Popen:
    """`anonrep.pipeline.repro`, and what it says added to `log`."""
    own = {f"DVC_{name}_DIR": str(folder.parent / "dvc") for name in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")}
    library = os.pathsep.join(filter(None, [str(ROOT / "lib"), os.environ.get("PYTHONPATH")]))
    settings = {**own, "PYTHONPATH": library, "DVC_NO_ANALYTICS": "1"}
    with log.open("ab") as output:
        return psutil.Popen(
            [sys.executable, "-m", "anonrep.pipeline.repro", "--jobs", str(jobs)],
            cwd=folder,
            env={**os.environ, **settings, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def kill(process: psutil.Popen, way: signal.Signals) -> None:
    """Kill a pipeline, and wait until it is gone; kernels that are on their own end by themselves a second later."""
    stages = process.children(recursive=True)
    for one in [process, *stages] if way == signal.SIGKILL else [process]:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(way)
    try:
        process.wait(GRACE)
    except psutil.TimeoutExpired:
        process.kill()
        raise SystemExit(f"{way.name} did not stop the pipeline within {GRACE} s") from None


def run_undisturbed(folder: Path, jobs: int) -> float:
    """A pipeline from nothing to its end; the seconds it took."""
    workspace.make(ROOT, "smoke", folder)
    began = time.monotonic()
    finish(start(folder, folder.with_suffix(".log"), jobs), folder)
    return time.monotonic() - began


def finish(process: psutil.Popen, folder: Path) -> None:
    """Wait for a pipeline's end; the drill is over when it fails."""
    if process.wait():
        sys.exit(f"{folder}: the pipeline failed by itself\n{last_words(folder)}")


def last_words(folder: Path) -> str:
    """The end of a workspace's log."""
    return folder.with_suffix(".log").read_text(encoding="utf-8", errors="replace")[-3000:]


def differences(one: Path, other: Path) -> list[str]:
    """What two finished workspaces do not agree on: artefacts byte by byte, and every hash in dvc.lock."""
    mine, theirs = artefacts(one), artefacts(other)
    found = [name for name in sorted(mine.keys() | theirs.keys()) if mine.get(name) != theirs.get(name)]
    return found + ([] if done(one) == done(other) and done(one) else ["dvc.lock"])


def drill(folder: Path, kills: int, seed: int, longest: float, jobs: int) -> int:
    """Run, kill and compare; the number of things that went wrong."""
    whole, struck = folder / "undisturbed", folder / "killed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"an undisturbed run: {run_undisturbed(whole, jobs):.0f} s", flush=True)
    workspace.make(ROOT, "smoke", struck)
    moments, wrong, number = random.Random(seed), 0, 0
    print("kill  signal   after  stages done  artefacts  half-written  temporary  at work when killed", flush=True)
    while number < kills:
        way, wait = WAYS[number % len(WAYS)], moments.uniform(0.5, longest)
        log = struck.with_suffix(".log")
        before = log.stat().st_size if log.exists() else 0
        process = start(struck, log, jobs)
        try:
            code = process.wait(wait)
        except psutil.TimeoutExpired:
            number += 1
            kill(process, way)
            wrong += report(struck, number, way, wait, at_work(log, before))
            continue
        if code:
            sys.exit(f"after kill {number} the pipeline did not go on\n{last_words(struck)}")
        wrong += compare(whole, struck)
        shutil.rmtree(struck)
        workspace.make(ROOT, "smoke", struck)
    began = time.monotonic()
    finish(start(struck, struck.with_suffix(".log"), jobs), struck)
    print(f"after {kills} kills it ran to the end in {time.monotonic() - began:.0f} s")
    wrong += compare(whole, struck)
    left = leftovers(struck)
    print(f"temporary files left in the end: {len(left)}{''.join(f'{chr(10)}      {name}' for name in left)}")
    return wrong


def at_work(log: Path, before: int) -> str:
    """The last stages that a run began, by what it said from `before` on."""
    said = log.read_bytes()[before:].decode("utf-8", errors="replace")
    return ", ".join(re.findall(r"Running stage '(.+?)'", said)[-2:]) or "no stage yet"


def report(folder: Path, number: int, way: signal.Signals, wait: float, stages: str) -> int:
    """A line of the table, and what is half-written under it; how much that is."""
    half, left = half_written(folder), leftovers(folder)
    size = f"{len(done(folder)):11}  {len(artefacts(folder)):9}  {len(half):12}  {len(left):9}"
    print(f"{number:4}  {way.name:7} {wait:5.1f} s  {size}  {stages}", flush=True)
    for line in half:
        print(f"      {line}", flush=True)
    return len(half)


def compare(whole: Path, struck: Path) -> int:
    """Print how two finished workspaces compare; how much differs."""
    differ = differences(whole, struck)
    kinds = Counter(Path(name).suffix for name in artefacts(whole))
    print(f"compared with the undisturbed run: {len(differ)} differences in {dict(sorted(kinds.items()))} and dvc.lock")
    for name in differ:
        print(f"      {name} differs", flush=True)
    for path in sorted((whole / "reports/metrics").glob("*.json")):
        other = struck / path.relative_to(whole)
        same = other.exists() and other.read_bytes() == path.read_bytes()
        print(f"      {path.name:24} {path.stat().st_size:9} bytes  {'the same' if same else 'DIFFERENT'}", flush=True)
    return len(differ)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--longest", type=float, default=60, help="seconds that a run is left alone")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=ROOT / "build/drill", help="made anew")
    options = parser.parse_args()
    wrong = drill(options.folder.resolve(), options.kills, options.seed, options.longest, options.jobs)
    print("nothing was lost and nothing differs" if not wrong else f"{wrong} things went wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
