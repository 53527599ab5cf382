"""Pictures of the dashboard for the README and the docs, from a server with real measurements.

    python -m scripts.screenshots --server http://127.0.0.1:8420 --folder docs/pictures

Every page in light and in dark. Which device and operator are shown is what the server has most
rows of. What was not measured has no picture: measure first.
"""

import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlencode

import httpx
from cyclopts import Parameter
from playwright.sync_api import Browser, sync_playwright

from contract.cli import command_line, main
from contract.client import DEFAULT_SERVER
from contract.errors import PhonebookError
from server.pages.templating import NAVIGATION

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SIZE = {"width": 1280, "height": 860}
DRAW_LIMIT_MS = 30_000

app = command_line("python -m scripts.screenshots", "Pictures of the dashboard's pages.")


@app.default
def run(
    *,
    server: Annotated[str, Parameter(help="Its address.")] = DEFAULT_SERVER,
    folder: Annotated[Path, Parameter(help="Where the pictures go.")] = Path("docs/pictures"),
    whole: Annotated[bool, Parameter(negative="", help="Whole pages, however long.")] = False,
) -> None:
    """Take a picture of each page, in light and in dark."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise PhonebookError("no Chromium: install it (on Debian: apt-get install chromium)")
    pages = pages_of(server.rstrip("/"))
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme in SCHEMES:
            for name, url in pages.items():
                path = folder / f"{name}-{scheme}.png"
                take(browser, url, path, scheme=scheme, whole=whole)
                sys.stdout.write(f"{path}\n")
        browser.close()


def pages_of(server: str) -> dict[str, str]:
    """The address of each page by the name of its picture: those of the navigation, a device and
    an operator.

    Raises:
        PhonebookError: no server there, or nothing was measured yet.
    """
    try:
        devices = httpx.get(f"{server}/devices").raise_for_status().json()
    except httpx.HTTPError as error:
        raise PhonebookError(f"--server: {server} does not answer: {error}") from error
    tables = [
        (runtime["rows"], device["name"], runtime["key"])
        for device in devices
        for runtime in device["runtimes"]
    ]
    rows, device, runtime = max(tables, default=(0, "", ""))
    if not rows:
        raise PhonebookError(
            f"nothing was measured at {server}; run `python -m device_agent.run --device host`"
        )
    query = urlencode({"runtime": runtime})
    table = httpx.get(f"{server}/lut/{quote(device)}?{query}").raise_for_status().json()
    dearest = max(table["entries"], key=lambda row: row["latency_us"])["operator"]
    return {
        "overview": f"{server}/",
        "device": f"{server}/devices/{quote(device)}?{query}",
        "operator": f"{server}/devices/{quote(device)}/operators/{quote(dearest)}?{query}",
        **{
            section.path.strip("/"): server + section.path
            for section in NAVIGATION
            if section.path not in ("/", "/docs")
        },
    }


def take(browser: Browser, url: str, path: Path, *, scheme: Scheme, whole: bool) -> None:
    """A picture of the page once all its charts are drawn."""
    page = browser.new_page(
        viewport={"width": SIZE["width"], "height": SIZE["height"]}, color_scheme=scheme
    )
    page.goto(url)
    if page.locator("[data-chart]").count():
        drawn = "html[data-charts=drawn]"
        page.wait_for_selector(drawn, state="attached", timeout=DRAW_LIMIT_MS)
    page.screenshot(path=path, full_page=whole)
    page.close()


if __name__ == "__main__":
    main(app)
