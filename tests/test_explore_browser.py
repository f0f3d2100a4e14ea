"""The explorer as its user meets it: the committed notebook in JupyterLab in Chromium, on a small made-up project."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from browser import chromium, needs_chromium
from test_explore import make_tree
from test_explore_faces import make_faces

from anonrep.utils.files import write_json

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[dev]")

ROOT = Path(__file__).parents[1]
TOKEN = "explore"
OWN = ("SETTINGS", "WORKSPACES")  # folders of JupyterLab that would else be the user's
PATIENCE = 120_000  # milliseconds: a kernel starts slowly where others compute


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """JupyterLab on a copy of the notebook in a made-up project, with none of the user's settings: its address."""
    own, project = tmp_path_factory.mktemp("jupyter"), make_tree(tmp_path_factory.mktemp("project"))
    make_faces(project)
    (project / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks/explore.ipynb", project / "notebooks")
    news = own / "SETTINGS/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    write_json(news, {"fetchNews": "false", "checkForUpdates": False})
    folders = {f"JUPYTERLAB_{name}_DIR": str(own / name) for name in OWN}
    folders |= {name: str(own / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "root_dir": project, "allow_root": True}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--IdentityProvider.token={TOKEN}"]
    command += [f"--ServerApp.{key}={value}" for key, value in options.items()]
    environment = {**os.environ, **folders, "OMP_NUM_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    with (own / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield _answering(f"http://127.0.0.1:{port}", server, own / "log")
    finally:
        server.terminate()  # takes its kernels with it
        server.wait(30)


def _answering(address: str, server: subprocess.Popen, log: Path) -> str:
    for _ in range(PATIENCE // 200):
        try:
            urllib.request.urlopen(f"{address}/api").close()
            return address
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
    raise TimeoutError(log.read_text())


@needs_chromium
def test_the_sliders_move_by_keyboard_and_a_drawing_is_answered(address):
    requests, complaints = [], []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 3000})
        page.set_default_timeout(PATIENCE)
        sync_api.expect.set_options(timeout=PATIENCE)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/lab/tree/notebooks/explore.ipynb?token={TOKEN}&reset")
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()

        sheet = page.locator("canvas.anonrep-pad")  # the last cell's
        sheet.wait_for()
        faces = page.locator(".anonrep-faces")
        shown = faces.locator('img[alt*="released with"]').first
        label, source = shown.get_attribute("alt"), shown.get_attribute("src")
        assert label == "aia, anger, released with target 0, aia"
        readout = faces.get_by_text(re.compile("Naming the commonest person")).locator("xpath=..")
        numbers = readout.inner_text()
        faces.locator(".noUi-handle").focus()
        page.keyboard.press("ArrowRight")
        sync_api.expect(shown).to_have_attribute("alt", "aia, anger, released with target 1, bonnie")
        sync_api.expect(readout).not_to_have_text(numbers, use_inner_text=True)
        assert shown.get_attribute("src") != source
        for _ in range(2):  # the second stop is of a game that collapsed
            page.keyboard.press("ArrowRight")
        faces.get_by_text(re.compile("This game collapsed in epoch 2")).wait_for()
        sync_api.expect(shown).to_have_count(0)

        released = page.locator('img[alt*="released at"]').first
        label, source = released.get_attribute("alt"), released.get_attribute("src")
        assert label.endswith("λ = 0")
        readout = page.get_by_text(re.compile("A blind guess")).locator("xpath=..")
        numbers, ring = readout.inner_text(), page.locator(".widget-html circle").first.get_attribute("cx")
        page.locator(".noUi-handle").last.focus()
        page.keyboard.press("ArrowRight")
        sync_api.expect(released).to_have_attribute("alt", re.compile("λ = 0.5$"))
        assert released.get_attribute("src") != source
        assert readout.inner_text() != numbers
        assert float(page.locator(".widget-html circle").first.get_attribute("cx")) > float(ring)
        fits = "all => all.every(one => one.scrollWidth <= one.clientWidth)"
        assert page.locator(".jp-OutputArea-output").evaluate_all(fits), "no output scrolls sideways"

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
