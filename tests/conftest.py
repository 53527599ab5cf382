"""What tests of several packages share."""

import signal
from collections.abc import Iterator

import pytest

from tests.postgres import PostgresServer, any_server, private_server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills", type=int, default=5, help="how often the no-loss tests kill something"
    )


def pytest_configure() -> None:
    """Let Ctrl-C work in the programs that tests start: a script that runs the tests in the
    background has it ignored, also by them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server whose user may create databases; one for the whole run."""
    with any_server() as url:
        yield url


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A fresh server for one test, which may stop it and start it again."""
    with private_server() as server:
        yield server
