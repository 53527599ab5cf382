"""A real browser and a real server whose every page has content.

What a page may not do is checked for each test: errors in the console, requests to another host.
"""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page, Request, Response

from server.app import create_app
from server.database.engine import open_database
from server.database.schema import upgrade
from server.settings import Settings
from tests.browser.seed import seed
from tests.browser.seed_views import seed_views

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NO_CHROMIUM = "no Chromium: install it (on Debian: apt-get install chromium)"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """The system's Chromium. Without it: skip on a person's computer, fail in CI."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail(NO_CHROMIUM)
        pytest.skip(NO_CHROMIUM)
    return {"executable_path": CHROMIUM, "args": list(ARGUMENTS)}


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with devices, sessions over several days, an audit, jobs and an agent."""
    yield from served(tmp_path_factory.mktemp("seeded"), seeded=True)


@pytest.fixture(scope="session")
def empty_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that knows nothing yet."""
    yield from served(tmp_path_factory.mktemp("empty"), seeded=False)


def served(folder: Path, *, seeded: bool, local: bool = True) -> Iterator[str]:
    """The address of a server; `local`: nobody needs a token."""
    engine = open_database(f"sqlite:///{folder}/phonebook.db")
    upgrade(engine)
    app = create_app(engine, Settings(rate=0), local=local)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            if seeded:
                with httpx2.Client(base_url=url) as client:
                    seed(client)
                    seed_views(client)
            yield url
        finally:
            server.should_exit = True
            thread.join()
    engine.dispose()


@pytest.fixture(scope="session")
def base_url(address: str) -> str:
    """What `page.goto("/...")` begins with."""
    return address


class Watch:
    """What the browser did besides showing the page."""

    def __init__(self, page: Page) -> None:
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.refusals_expected = False
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._asked)
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        refused = self.refusals_expected and "Failed to load resource" in message.text
        if message.type in ("error", "warning") and not refused:
            self.faults.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the next page was asked for before
            self.faults.append(f"request: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and not self.refusals_expected:
            self.faults.append(f"answer: {response.status} {response.url}")


@pytest.fixture(autouse=True)
def watch(page: Page) -> Iterator[Watch]:
    """No fault, and no request left the host: checked after each test."""
    watch = Watch(page)
    yield watch
    assert watch.faults == []
    own = ("http://127.0.0.1:", "data:", "blob:")
    assert [url for url in watch.requests if not url.startswith(own)] == []


def drawn(page: Page) -> None:
    """Wait until every chart of the page is drawn."""
    page.wait_for_selector("html[data-charts=drawn]", state="attached")


def accessible(page: Page) -> None:
    """The page has no fault that axe finds."""
    found = Axe().run(page, options={"resultTypes": ["violations"]})
    faults = [
        f"{fault['id']}: {fault['help']}: {node['html'][:200]}"
        for fault in found.response["violations"]
        for node in fault["nodes"]
    ]
    assert faults == []
