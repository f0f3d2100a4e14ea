"""JupyterLab as `make explore` starts it: this machine alone can reach it, and nobody without its token."""

import importlib.util
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def command() -> list[str]:
    """The words of the command that `make explore` would give."""
    said = subprocess.run(["make", "-n", "explore"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in said.splitlines() if line.startswith("jupyter lab")]
    return shlex.split(line)


def test_the_command_binds_to_loopback_and_takes_no_token_away(command):
    assert "--ServerApp.ip=127.0.0.1" in command
    assert not [word for word in command if re.search(r"token|password|auth|allow|disable|0\.0\.0\.0|\*", word)]
    assert [word for word in command if "ip=" in word] == ["--ServerApp.ip=127.0.0.1"]


@pytest.fixture(scope="module")
def server(command, tmp_path_factory) -> tuple[psutil.Process, dict]:
    """The server running, with no settings of a user's, and what it wrote about itself."""
    if not importlib.util.find_spec("jupyterlab"):
        pytest.skip("JupyterLab is not installed")
    folder = tmp_path_factory.mktemp("jupyter")
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    more = ["--no-browser", f"--ServerApp.port={port}", *(["--allow-root"] if os.geteuid() == 0 else [])]
    process = psutil.Popen(
        [sys.executable, "-m", "jupyterlab", *command[2:], *more],
        cwd=ROOT,
        env={**os.environ, **own},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process, wait_for(folder / "runtime", process, port)
    finally:
        process.terminate()
        process.wait(30)


def wait_for(runtime: Path, process: psutil.Popen, port: int) -> dict:
    """What the server wrote about itself, as soon as it answers."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(URLError, StopIteration, ValueError):
            urlopen(f"http://127.0.0.1:{port}/api", timeout=5).read()
            return json.loads(next(runtime.glob("jpserver-*.json")).read_text())
        time.sleep(0.3)
    raise AssertionError("JupyterLab did not answer")


def test_it_listens_on_loopback_alone(server):
    process, _ = server
    listening = {found.laddr.ip for found in process.net_connections("inet") if found.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def answer(facts: dict, token: str | None) -> int:
    """The status that a request for the files gets."""
    query = "" if token is None else f"?token={token}"
    try:
        return urlopen(f"http://127.0.0.1:{facts['port']}/api/contents{query}", timeout=20).status
    except HTTPError as error:
        return error.code


def test_it_asks_for_its_token(server):
    _, facts = server
    assert len(facts["token"]) >= 32
    assert answer(facts, None) == answer(facts, "") == answer(facts, "0" * 48) == 403
    assert answer(facts, facts["token"]) == 200
