"""`python -m benchmarks.service`: how fast the service is, as ratios from one run.

For SQLite and for PostgreSQL, in parts that `--only` chooses:

tables    `GET /lut/{device}` of 300 and of 5,000 rows, plain, with its ETag and compressed,
          against a constant answer of the same size from the same server
history   the same table with a long history behind it, against a short one
crowd     a changed table for 64 readers at once, against one
posts     timings posted in a batch and one by one, against plain `executemany`
uploads   agents that post their sessions at once
browsers  pages over a long history for many browsers after a change, and the server's memory
health    signs of life while many write at once

The two sides take short turns, so that whatever else the computer does slows both alike; medians
are printed. Without `--small` it ends with 1 if a bar is missed.

The history is filled by SQL, with one sample per timing and ids in order; 10 million timings take
about 3 GB of the temporary folder and some minutes, for one database after the other. The private
PostgreSQL does not wait for the disk (`fsync=off`); give your own by `--postgres-url`.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, get_args
from uuid import uuid4

from cyclopts import Parameter
from sqlalchemy import text

from benchmarks.service.asking import ASKER
from benchmarks.service.browsing import load_pages
from benchmarks.service.figures import SCREEN, Figure, Report
from benchmarks.service.posting import ask_for_health, compare_posts, upload
from benchmarks.service.reading import (
    CROWD,
    LARGE_TABLE,
    SMALL_TABLE,
    TABLES,
    compare_crowd,
    compare_histories,
    compare_with_constants,
)
from benchmarks.service.serving import served, served_with_constants
from benchmarks.service_data import fill
from benchmarks.sessions_data import AGAIN, add_sessions
from contract.cli import command_line, main
from server.database.engine import open_database
from tests.postgres import any_server, database

Part = Literal["tables", "history", "crowd", "posts", "uploads", "browsers", "health"]
Kind = Literal["sqlite", "postgresql"]
SHORT_HISTORY = 10_000
SQLITE_UPLOADS = {30: 300.0}  # timings/s of so many agents, at least


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything."""

    history: int  # timings
    turns: int
    clients: tuple[int, ...]  # at once, of the table of 300 rows
    clients_of_large: tuple[int, ...]
    agents: tuple[int, ...]
    sessions: int  # of all agents together
    versions: int  # of rows, behind the pages
    browsers: int
    writers: int


FULL = Size(
    history=1_000_000,
    turns=5,
    clients=(1, 8, CROWD),
    clients_of_large=(8,),
    agents=(1, 10, 30),
    sessions=45,
    versions=100_000,
    browsers=8,
    writers=100,
)
SMALL = Size(
    history=20_000,
    turns=1,
    clients=(CROWD,),
    clients_of_large=(),
    agents=(4,),
    sessions=4,
    versions=2_000,
    browsers=4,
    writers=20,
)

app = command_line("python -m benchmarks.service", __doc__ or "")


class Databases:
    """New databases of one kind, which last as long as this is entered."""

    def __init__(self, kind: Kind, postgres_url: str | None) -> None:
        self.kind = kind
        self._postgres_url = postgres_url
        self._stack = ExitStack()

    def __enter__(self) -> "Databases":
        if self.kind == "sqlite":
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        elif self._postgres_url is None:
            self._postgres_url = self._stack.enter_context(any_server())
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    @contextmanager
    def filled(
        self, rows: dict[str, int], *, history: int = 0, sessions: int = 0
    ) -> Iterator[str]:
        """The URL of a database with these tables, and timings or sessions behind the first."""
        name = f"benchmark-{uuid4()}"
        with ExitStack() as stack:
            if self._postgres_url is None:
                url = f"sqlite:///{self._folder}/{name}.db"
            else:
                url = stack.enter_context(database(self._postgres_url, name))
            began = time.monotonic()
            engine = open_database(url)
            fill(engine, rows=rows, history=history)
            if sessions:
                with engine.begin() as connection:
                    add_sessions(connection, next(iter(rows)), sessions)
                    connection.execute(text("ANALYZE"))
            engine.dispose()
            SCREEN.print(
                f"{self.kind}: {history:,} timings and {sessions:,} sessions filled in "
                f"{time.monotonic() - began:.0f} s"
            )
            yield url


@app.default
def run(
    *,
    only: Annotated[tuple[Part, ...], Parameter(help="Parts.")] = get_args(Part),
    databases: tuple[Kind, ...] = get_args(Kind),
    small: Annotated[
        bool, Parameter(negative="", help="A little of everything, with no bars.")
    ] = False,
    history: Annotated[
        int | None, Parameter(help="Timings in the long history [default: 1,000,000].")
    ] = None,
    turns: Annotated[
        int | None, Parameter(help="Of each side of each comparison [default: 5].")
    ] = None,
    postgres_url: Annotated[
        str | None, Parameter(help="A server whose user may create databases [default: private].")
    ] = None,
) -> None:
    """Measure the databases and print what was found."""
    size = SMALL if small else FULL
    size = replace(size, history=history or size.history, turns=turns or size.turns)
    SCREEN.print(f"clients at once are {ASKER}")
    missed = 0
    for kind in databases:
        report = Report(kind)
        with Databases(kind, postgres_url if kind == "postgresql" else None) as made:
            for figures in measured(made, only, size):
                report.add(figures)
        missed += report.print(bars=not small)
    if missed and not small:
        SCREEN.print(f"{missed} bars missed")
        sys.exit(1)


def measured(made: Databases, only: Sequence[Part], size: Size) -> Iterator[Sequence[Figure]]:
    """Each part's figures, as they are found."""
    if {"tables", "history", "crowd", "posts"} & set(only):
        with (
            made.filled(TABLES, history=SHORT_HISTORY) as url,
            served_with_constants(url) as short,
        ):
            if "tables" in only:
                clients = {SMALL_TABLE: size.clients, LARGE_TABLE: size.clients_of_large}
                yield compare_with_constants(short, clients=clients, turns=size.turns)
            if "history" in only:
                with (
                    made.filled(TABLES, history=size.history) as long_url,
                    served_with_constants(long_url) as long,
                ):
                    yield compare_histories(long, short, timings=size.history, turns=size.turns)
            if "crowd" in only:
                yield compare_crowd(short, readers=CROWD, turns=size.turns)
            if "posts" in only:
                engine = open_database(url)
                yield compare_posts(short, engine, SMALL_TABLE, turns=size.turns * 2)
                engine.dispose()
    if {"uploads", "health"} & set(only):
        with made.filled({SMALL_TABLE: 300}) as url, served(url) as server:
            if "uploads" in only:
                least = SQLITE_UPLOADS if made.kind == "sqlite" else {}
                yield [
                    upload(
                        server,
                        SMALL_TABLE,
                        agents=agents,
                        sessions=size.sessions,
                        least=least.get(agents),
                    )
                    for agents in size.agents
                ]
            if "health" in only:
                yield ask_for_health(server, SMALL_TABLE, writers=size.writers)
    if "browsers" in only:
        sessions = size.versions // AGAIN
        with made.filled({SMALL_TABLE: 300}, sessions=sessions) as url, served(url) as server:
            yield load_pages(
                server,
                SMALL_TABLE,
                browsers=size.browsers,
                versions=size.versions,
                turns=size.turns,
            )


if __name__ == "__main__":
    main(app)
