"""JupyterLab as `make explore` starts it: only this machine reaches it, with its token; the sliders move in Chromium.

One server for all tests, on the committed notebook in a made-up project.
"""

import importlib.util
import json
import os
import re
import shlex
import shutil
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
from browser import chromium, needs_chromium
from made_up import WHY, make_project

from anonrep.utils.files import write_json

ROOT = Path(__file__).parents[1]
PATIENCE = 120  # seconds: a kernel starts slowly where others compute


@pytest.fixture(scope="module")
def command() -> list[str]:
    """The words of the command that `make explore` would give."""
    said = subprocess.run(["make", "-n", "explore"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in said.splitlines() if line.startswith("jupyter lab")]
    return shlex.split(line)


@pytest.fixture(scope="module")
def server(command, tmp_path_factory) -> tuple[psutil.Process, dict]:
    """The server running in the made-up project, with no settings of a user's, and what it wrote about itself."""
    if not importlib.util.find_spec("jupyterlab"):
        pytest.skip("JupyterLab is not installed")
    folder, project = tmp_path_factory.mktemp("jupyter"), make_project(tmp_path_factory.mktemp("lab"))
    (project / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks/explore.ipynb", project / "notebooks")
    news = folder / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    write_json(news, {"fetchNews": "false", "checkForUpdates": False})
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "RUNTIME")}
    own |= {f"JUPYTERLAB_{name}_DIR": str(folder / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    own |= {"IPYTHONDIR": str(folder / "ipython"), "OMP_NUM_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    more = ["--no-browser", f"--ServerApp.port={port}", *(["--allow-root"] if os.geteuid() == 0 else [])]
    with (folder / "log").open("w") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "jupyterlab", *command[2:], *more],
            cwd=project,
            env={**os.environ, **own},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, wait_for(folder, process, port)
    finally:
        process.terminate()  # takes its kernels with it
        process.wait(30)


def wait_for(folder: Path, process: psutil.Process, port: int) -> dict:
    """What the server wrote about itself, as soon as it answers."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(URLError, StopIteration, ValueError):
            urlopen(f"http://127.0.0.1:{port}/api", timeout=5).read()
            return json.loads(next((folder / "runtime").glob("jpserver-*.json")).read_text())
        time.sleep(0.3)
    raise AssertionError((folder / "log").read_text())


def test_the_command_binds_to_loopback_and_takes_no_token_away(command):
    assert not [word for word in command if re.search(r"token|password|auth|allow|disable|0\.0\.0\.0|\*", word)]
    assert [word for word in command if "ip=" in word] == ["--ServerApp.ip=127.0.0.1"]


def answer(facts: dict, token: str | None) -> int:
    """The status that a request for the files gets."""
    query = "" if token is None else f"?token={token}"
    try:
        return urlopen(f"http://127.0.0.1:{facts['port']}/api/contents{query}", timeout=20).status
    except HTTPError as error:
        return error.code


def test_it_listens_on_loopback_alone_and_asks_for_its_token(server):
    process, facts = server
    listening = {found.laddr.ip for found in process.net_connections("inet") if found.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    assert len(facts["token"]) >= 32
    assert answer(facts, None) == answer(facts, "") == answer(facts, "0" * 48) == 403
    assert answer(facts, facts["token"]) == 200


@needs_chromium
def test_the_sliders_move_by_keyboard_and_a_drawing_is_answered(server):
    sync_api = pytest.importorskip("playwright.sync_api")
    address, requests, complaints = f"http://127.0.0.1:{server[1]['port']}", [], []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 3000})
        page.set_default_timeout(1000 * PATIENCE)
        sync_api.expect.set_options(timeout=1000 * PATIENCE)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/lab/tree/notebooks/explore.ipynb?token={server[1]['token']}&reset")
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        sheet = page.locator("canvas.anonrep-pad")  # the last cell's
        sheet.wait_for()

        faces, digits = page.locator(".anonrep-target"), page.locator(".anonrep-setting")
        for explorer, stops in ((faces, ("target 0, aia", "target 1, bonnie")), (digits, ("λ = 0", "λ = 0.5"))):
            shown = explorer.locator('img[alt*="released with"]').first
            sync_api.expect(shown).to_have_attribute("alt", re.compile(f"released with {stops[0]}$"))
            source = shown.get_attribute("src")
            readout = explorer.get_by_text(re.compile("Chance is")).locator("xpath=..")
            numbers = readout.inner_text()
            explorer.locator(".noUi-handle").focus()
            page.keyboard.press("ArrowRight")
            sync_api.expect(shown).to_have_attribute("alt", re.compile(f"released with {stops[1]}$"))
            sync_api.expect(readout).not_to_have_text(numbers, use_inner_text=True)
            assert shown.get_attribute("src") != source
        faces.locator(".noUi-handle").focus()
        page.keyboard.press("ArrowRight")
        faces.get_by_text(re.compile(f"This run {WHY[:20]}")).wait_for()
        sync_api.expect(faces.locator('img[alt*="released with"]')).to_have_count(0)
        sync_api.expect(digits.locator("circle")).to_have_count(3)
        wide = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.innerText.slice(0, 80))"
        assert not page.locator(".jp-OutputArea-output").evaluate_all(wide), "an output scrolls sideways"

        sheet.scroll_into_view_if_needed()  # the mouse goes nowhere else
        box = sheet.bounding_box()
        places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in ((0.3, 0.2), (0.7, 0.8))]
        page.mouse.move(*places[0])
        page.mouse.down()
        page.mouse.move(*places[1], steps=8)
        page.mouse.up()
        drawn = page.locator('img[alt^="λ = "]')
        sync_api.expect(drawn).to_have_count(3)
        assert "writer" in drawn.first.get_attribute("alt")
        page.get_by_role("button", name="clear").click()
        sync_api.expect(drawn).to_have_count(0)
    assert not complaints
    assert all(url.startswith((address, "data:", "blob:")) for url in requests), "everything works offline"
