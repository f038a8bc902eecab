"""Tries `priors explore` in headless Chromium: sliders move pictures, a click on a node moves columns.

    pip install playwright
    python scripts/explore_browser.py --out build/explore        # and look at the screenshots there

It ends with an error if something of that fails, if the page reports an error, or if it asks another machine
for anything. It prints how long after a change the first picture was there. Chromium must be on the PATH;
playwright is in no extra, since this runs by hand.
"""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import click

PATIENCE = 120_000  # milliseconds; the machine may be busy
QUIET = 4_000  # milliseconds without a change after which all cells have run
GRAPH = "svg[aria-label^='causal graph']"
NUM_CHANGES = 5


@contextmanager
def served(*options: str) -> Iterator[str]:
    """The address of a page that `priors explore` serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "priors", "explore", "--no-browser", f"--port={port}", *options]
    server = subprocess.Popen(command)
    try:
        wait_for(port, server)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def wait_for(port: int, server: subprocess.Popen) -> None:
    """Until the port answers.

    Raises:
        SystemExit: the server has ended.
    """
    while server.poll() is None:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit(f"priors explore ended with exit code {server.returncode}")


def watch(page: Any, address: str) -> list[str]:
    """The errors of a page, and what it asks of other machines, as they come."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("requestfailed", lambda request: found.append(f"failed: {request.url}"))
    inside = (address, "data:", "blob:", address.replace("http", "ws"))
    page.on("request", lambda asked: None if asked.url.startswith(inside) else found.append(asked.url))
    return found


def idle(page: Any) -> None:
    """Until all cells have run: the page has not changed for a while."""
    before = None
    while before != (now := page.evaluate("document.body.innerHTML.length")):
        before = now
        page.wait_for_timeout(QUIET)


def picture_after(page: Any, change: Any) -> float:
    """Seconds from a change to another picture of the first graph."""
    before = page.locator(GRAPH).first.inner_html()
    begun = time.perf_counter()
    change()
    page.wait_for_function(
        "([where, before]) => { const found = document.querySelector(where);"
        " return found && found.innerHTML !== before; }",
        arg=[GRAPH, before],
        timeout=PATIENCE,
        polling=20,
    )
    return time.perf_counter() - begun


def group(page: Any, name: str) -> None:
    """Open or close a group of settings."""
    page.get_by_role("button", name=re.compile(f"^{name}")).click()


def slider(page: Any, field: str) -> Any:
    """The last handle of the slider of a field: its high end, or its only one."""
    name = page.locator("code", has_text=re.compile(f"^{field}$"))
    block = name.locator("xpath=ancestor::div[.//marimo-range-slider or .//marimo-slider][1]")
    return block.locator("[role=slider]").last


def try_page(page: Any, address: str, out: Path) -> list[float]:
    """All that the page must do; the times to the first picture."""
    page.set_viewport_size({"width": 1300, "height": 1000})
    page.goto(address)
    page.locator(GRAPH).first.wait_for(timeout=PATIENCE)
    page.locator("img[alt^='Properties of tables']").wait_for(timeout=PATIENCE)
    idle(page)
    group(page, "Table")
    handle = slider(page, "num_features")
    times = []
    for _ in range(NUM_CHANGES):
        handle.focus()
        times.append(picture_after(page, lambda: handle.press("ArrowRight")))
        idle(page)
    assert handle.get_attribute("aria-valuetext") or handle.is_visible(), "the group of settings was closed"

    page.get_by_role("tab", name="Intervention").click()
    node = page.locator("g[data-node][role=button]").first
    node.wait_for(timeout=PATIENCE)
    node.click()
    page.get_by_text("standard deviations").first.wait_for(timeout=PATIENCE)
    idle(page)
    shot(page, out / "intervention-1300.png", 1300, 1000)
    last = page.locator("g[data-node][role=button]").last
    last.press("Enter")
    last.get_by_text("set", exact=True).wait_for(timeout=PATIENCE)
    page.get_by_role("tab", name="Copy").click()
    page.get_by_text("--preset default").first.wait_for(timeout=PATIENCE)
    shot(page, out / "copy-1300.png", 1300, 1000)

    slider(page, "num_classes").press("End")
    slider(page, "num_datapoints").press("Home")
    page.locator("[role=alert]:visible").first.wait_for(timeout=PATIENCE)
    idle(page)
    shot(page, out / "message-1300.png", 1300, 1000)

    page.goto(address)
    page.locator(GRAPH).first.wait_for(timeout=PATIENCE)
    page.get_by_role("switch", name="a second prior next to it").click()
    page.get_by_text("prior B").first.wait_for(timeout=PATIENCE)
    idle(page)
    shot(page, out / "overview-1300.png", 1300, 2350)
    page.get_by_role("tab", name="Everything").click()
    page.locator("img[alt^='How much there is to learn']").wait_for(timeout=PATIENCE)
    idle(page)
    shot(page, out / "everything-1300.png", 1300, 3300)
    shot(page, out / "everything-700.png", 700, 5200)
    return times


def shot(page: Any, path: Path, width: int, height: int) -> None:
    """A screenshot of a window of that size, in 256 colours."""
    from PIL import Image

    page.set_viewport_size({"width": width, "height": height})
    idle(page)
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


@click.command(help=__doc__.partition("\n")[0])
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Screenshots.")
def main(out: Path) -> None:
    """Serve the page, try it, and say what was found."""
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser_path is None:
        raise click.ClickException("needs chromium on the PATH")
    out.mkdir(parents=True, exist_ok=True)
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page()
        found = watch(page, address)
        try:
            times = try_page(page, address, out)
        finally:
            page.screenshot(path=out / "last.png")
            browser.close()
    if found:
        raise click.ClickException("\n".join(["the page reports:", *found]))
    shown = ", ".join(f"{seconds:.2f}" for seconds in times)
    click.echo(
        f"no errors; first picture after {median(times):.2f} s (median of {shown}); screenshots in {out}"
    )


if __name__ == "__main__":
    main()
