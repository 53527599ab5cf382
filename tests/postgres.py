"""A real PostgreSQL for tests: one at TEST_POSTGRES_URL, or a private one from installed binaries.

A private server lies in a folder of its own, is reached through a Unix socket there, and runs as
another account where the tests run as root, which PostgreSQL refuses.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NoReturn

import psutil
import pytest
from sqlalchemy import create_engine, make_url, text

GIVEN = "TEST_POSTGRES_URL"
ACCOUNTS = ("postgres", "nobody")
LIMIT_S = 60
NO_POSTGRES = (
    f"no PostgreSQL: set {GIVEN} to the URL of one whose user may create databases, or install "
    "one (on Debian: apt-get install postgresql)"
)


class PostgresServer:
    """A server of its own, which can be stopped and started again without losing data.

    `url` is of the database `postgres`; it stays the same over restarts.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._data = folder / "data"
        self._folder = folder
        self._account = _other_account()
        self._running = False
        if self._account:
            os.chown(folder, self._account["user"], self._account["group"])
        self._run(
            "initdb",
            *("-D", str(self._data), "-A", "trust", "-U", "postgres"),
            *("-E", "UTF8", "--locale", "C", "--no-sync"),
        )

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self._folder}"

    def start(self) -> None:
        """Serve; returns once it answers."""
        options = (
            f"-c listen_addresses='' -k {self._folder} -c max_connections=200 "
            "-c fsync=off -c full_page_writes=off -c autovacuum=off"
        )
        log = str(self._folder / "log")
        self._run("pg_ctl", "start", "-w", "-D", str(self._data), "-l", log, "-o", options)
        self._running = True

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Close all connections and go, if it is there; `immediate` is like a crash."""
        if self._running:
            self._run("pg_ctl", "stop", "-w", "-D", str(self._data), "-m", mode)
            self._running = False

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It is there, keeps its connections, and says nothing, until the end of the block."""
        postmaster = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGSTOP)  # first, so that it makes no more children
        all_of_it = [psutil.Process(postmaster), *psutil.Process(postmaster).children()]
        for process in all_of_it:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in all_of_it:
                process.send_signal(signal.SIGCONT)

    def demote(self) -> None:
        """Stop, and start as a standby, which may only be read."""
        self.stop()
        signal = self._data / "standby.signal"
        signal.touch()
        if self._account:
            os.chown(signal, self._account["user"], self._account["group"])
        self.start()

    def promote(self) -> None:
        """Be no standby any more; returns once it takes writes."""
        self._run("pg_ctl", "promote", "-w", "-D", str(self._data))

    def _run(self, program: str, *arguments: str) -> None:
        said = self._folder / "said"
        with said.open("w") as output:  # a pipe would stay open as long as the server lives
            done = subprocess.run(
                [self._binaries / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                timeout=LIMIT_S,
                check=False,
                **self._account,
            )
        assert done.returncode == 0, said.read_text()


@contextmanager
def private_server() -> Iterator[PostgresServer]:
    """A fresh server, started; gone with all its data in the end. Skips where there is none."""
    binaries = _binaries()
    if binaries is None:
        missing()
    # Not under pytest's folder: that is closed to other accounts, and too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = PostgresServer(binaries, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder)


@contextmanager
def any_server() -> Iterator[str]:
    """The URL of the given server, or of a private one. Skips where there is neither."""
    given = os.environ.get(GIVEN)
    if given:
        yield given
        return
    with private_server() as server:
        yield server.url


@contextmanager
def database(server: str, name: str, *, template: str = "template0") -> Iterator[str]:
    """The URL of a new database on the server with that URL, dropped in the end."""
    _command(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    try:
        url = make_url(server).set(database=name)
        yield url.render_as_string(hide_password=False)
    finally:
        _command(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def missing() -> NoReturn:
    """Skip on a person's computer; fail in CI, where nobody would notice the skip."""
    if os.environ.get("CI"):
        pytest.fail(NO_POSTGRES)
    pytest.skip(NO_POSTGRES)


def _command(server: str, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _binaries() -> Path | None:
    """Where `initdb` and `pg_ctl` are: on PATH, or the newest where Debian puts them."""
    found = shutil.which("pg_ctl")
    if found and shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: int(path.parts[4]), default=None)
    return newest and newest.parent


def _other_account() -> dict[str, Any]:
    """What `subprocess` needs to give up being root; nothing where a user runs the tests."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    account = next(known[name] for name in ACCOUNTS if name in known)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
