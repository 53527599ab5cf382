"""How long the pages of a large database take, at the server and until they are drawn.

    python -m benchmarks.pages [--sessions N] [--turns N]

A table of 5,000 operators, sessions that each measured some of them again, and 200 searches of 90
epochs; an operator has raw samples of its newest sessions. Times of the server are those of a
request on this computer;
"drawn" is from the start of the navigation until every chart is there, in Chromium without a
display, with an empty cache. The first request after a change finds the steps anew, the others
find them kept: both are told.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
import uvicorn
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from benchmarks.searches_data import add_searches
from benchmarks.service_data import SPACE, fill
from benchmarks.sessions_data import add_sessions
from contract.cli import command_line, main
from server.app import create_app
from server.database.engine import open_database
from server.http import logs
from server.serving import listen
from server.settings import Settings
from server.store.history import Histories

DEVICE = "large"
OPERATORS = 5_000
PAGES = {
    "overview": "/",
    "device": f"/devices/{DEVICE}?space={SPACE.name}",
    "operator": f"/devices/{DEVICE}/operators/{SPACE.operators[0].key}",
    "history": "/history",
    "compare": "/compare",
    "networks": "/networks",
    "searches": "/searches",
    "fleet": "/fleet",
    "export": "/export",
}
SEARCHES = 200
BROWSER = {"accept": "text/html"}
SCREEN = Console()

app = command_line("python -m benchmarks.pages", "Times of the pages over a large database.")


@app.default
def run(*, sessions: int = 1_000, turns: int = 5) -> None:
    """Fill a database, serve it, and time every page."""
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), sessions) as (url, forget):
        newest = httpx.get(f"{url}/searches").json()[0]["id"]
        pages = {**PAGES, "search": f"/searches/{newest}"}
        table = Table(title=f"{OPERATORS:,} operators, {sessions:,} sessions, {SEARCHES} searches")
        for column in ("page", "after a change, ms", "kept, ms", "HTML, kB", "drawn, ms"):
            table.add_column(column, justify="right" if column != "page" else "left")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
            for name, path in pages.items():
                httpx.get(
                    url + path, headers=BROWSER
                ).raise_for_status()  # the first one compiles templates
                cold = [timed(url + path, forget) for _ in range(turns)]
                warm = [timed(url + path) for _ in range(turns)]
                drawn = [until_drawn(browser, url + path) for _ in range(turns)]
                size = len(httpx.get(url + path, headers=BROWSER).content) / 1000
                figures = (median(cold), median(warm), size, median(drawn))
                table.add_row(name, *(f"{figure:,.0f}" for figure in figures))
            browser.close()
        SCREEN.print(table)


def timed(url: str, forget: Histories | None = None) -> float:
    """Milliseconds of one request; with what is kept forgotten before."""
    if forget is not None:
        forget.clear()
    began = time.perf_counter()
    httpx.get(url, headers=BROWSER).raise_for_status()
    return (time.perf_counter() - began) * 1000


def until_drawn(browser: Browser, url: str) -> float:
    """Milliseconds from the navigation's start until every chart is drawn, with an empty cache."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    if page.locator("[data-chart]").count():
        page.wait_for_selector("html[data-charts=drawn]", state="attached")
    spent: float = page.evaluate(
        "performance.getEntriesByName('charts-drawn')[0]?.startTime"
        " ?? performance.getEntriesByType('navigation')[0].loadEventEnd"
    )
    context.close()
    return spent


@contextmanager
def served(folder: Path, sessions: int) -> Iterator[tuple[str, Histories]]:
    """The address of a server over a large database, and the histories that it keeps."""
    engine = open_database(f"sqlite:///{folder}/pages.db")
    fill(engine, rows={DEVICE: OPERATORS}, history=0)
    with engine.begin() as connection:
        add_sessions(connection, DEVICE, sessions)
        add_searches(connection, DEVICE, SEARCHES)
        connection.execute(text("ANALYZE"))
    logs.configure()
    application = create_app(engine, Settings(rate=0), local=True)
    with listen("127.0.0.1", 0) as listener:
        config = uvicorn.Config(application, log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", application.state.histories
        finally:
            server.should_exit = True
            thread.join()
    engine.dispose()


if __name__ == "__main__":
    main(app)
