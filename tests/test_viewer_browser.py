"""The viewer as a person uses it: `cubekit view` in a real browser."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest

import cubekit as ck

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def address(tmp_path):
    """Address of the viewer, served by the command."""
    path = ck.save_cube(ck.datasets.scene(), tmp_path / "scene.nc", progress=False)
    command = [sys.executable, "-m", "cubekit", "view", str(path), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield re.match(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())[0]
            server.send_signal(signal.SIGINT)  # Ctrl-C, with a page open
            assert server.wait(20) == 0
        finally:
            server.kill()


@pytest.fixture
def page(address):
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  for these alone

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 720})
        page.goto(address)
        page.get_by_text("northing").or_(page.locator("canvas")).first.wait_for()
        yield page
        browser.close()


def picture(page, path):
    page.screenshot(path=path)
    return matplotlib.image.imread(path)[..., :3]


def becomes(page, path, holds):
    """Whether something comes to hold for a screenshot."""
    for _ in range(60):
        page.wait_for_timeout(250)
        if holds(picture(page, path)):
            return True
    return False


def near(shot, colour, distance=0.06):
    return (np.abs(shot - colour).max(axis=-1) < distance).sum()


BLUE = (0, 0x72 / 255, 0xB2 / 255)  # of the first spectrum


# servers of Panel and their sockets are closed with the process
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_click_slider_export_and_clear(page, tmp_path):
    shot = tmp_path / "shot.png"
    forest = np.array([0.05, 0.2, 0.05])
    assert becomes(page, shot, lambda s: near(s[75:450, 70:560], forest, 0.15) > 3000)
    image = page.locator("canvas").first.bounding_box()
    half = 700  # spectra are right of this
    assert near(picture(page, shot)[:, half:], BLUE) == 0

    page.mouse.click(image["x"] + 250, image["y"] + 200)
    assert becomes(page, shot, lambda s: near(s[:, half:], BLUE) > 300)

    handle = page.locator(".noUi-handle").first  # of the bands, below the image
    handle.focus()
    handle.press("ArrowRight")
    yellow = (1.0, 0.91, 0.27)  # the bright end of the map of one band
    assert becomes(page, shot, lambda s: near(s[75:450, 70:560], yellow) > 500)

    for name, start in (("CSV", b"spectrum,"), ("netCDF", b"\x89HDF")):
        with page.expect_download() as waiting:
            page.get_by_text(name, exact=True).click()
        assert waiting.value.path().read_bytes().startswith(start)

    page.get_by_text("clear", exact=True).click()
    assert becomes(page, shot, lambda s: near(s[:, half:], BLUE) == 0)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_box_adds_a_region_and_the_wheel_zooms_in(page, tmp_path):
    shot = tmp_path / "shot.png"
    forest = np.array([0.05, 0.2, 0.05])
    assert becomes(page, shot, lambda s: near(s[75:450, 70:560], forest, 0.15) > 3000)
    before = picture(page, shot)
    image = page.locator("canvas").first.bounding_box()
    page.get_by_title("Box Select").first.click()
    page.mouse.move(image["x"] + 200, image["y"] + 150)
    page.mouse.down()
    page.mouse.move(image["x"] + 330, image["y"] + 260, steps=4)
    page.mouse.up()
    assert becomes(page, shot, lambda s: near(s[:, 700:], BLUE) > 300)

    page.mouse.move(image["x"] + 300, image["y"] + 220)
    page.mouse.wheel(0, -300)
    assert becomes(
        page, shot, lambda s: (np.abs(s - before)[75:450, 70:550] > 0.1).mean() > 0.2
    )


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_page_is_for_this_computer_alone(address):
    port = int(address.rstrip("/").rpartition(":")[2])
    # a server that listens everywhere answers at 127.0.0.2, too
    names = {a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None)}
    reached = []
    for host in (names | {"127.0.0.2"}) - {"127.0.0.1", "::1"}:
        with contextlib.suppress(OSError):
            socket.create_connection((host, port), timeout=2).close()
            reached.append(host)
    assert not reached
    socket.create_connection(("127.0.0.1", port), timeout=2).close()
