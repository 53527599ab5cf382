"""The table that was fetched last serves when its server does not, if one says so."""

import json
from pathlib import Path

import pytest

from contract.errors import PhonebookError, ServerUnreachable
from contract.runtime import Runtime
from contract.spaces import space
from contract.tables import LatencyTable
from search import compare, predict
from search.tables.fetch import fetch
from tests.search.conftest import Serve, TableServer
from tests.tables import table_of

SMALL = space("fbnet-32-0.35")
FLOAT, INT8 = (
    Runtime.parse(f"xnnpack-{dtype}-t1-contiguous-et1.5.1-native-any-in_situ")
    for dtype in ("float32", "int8")
)


def tables() -> list[LatencyTable]:
    return [table_of(SMALL, runtime=runtime) for runtime in (FLOAT, INT8)]


@pytest.fixture
def stopped(serve: Serve, servers: list[TableServer]) -> str:
    """The address of a server that served the device's default table once."""
    server = serve(*tables())
    fetch(server, target="test-phone", space=SMALL)
    stop(servers)
    return server


def stop(servers: list[TableServer]) -> None:
    server = servers.pop()
    server.server.shutdown()
    server.server.server_close()


def test_an_unchanged_table_is_not_sent_again(serve: Serve, servers: list[TableServer]) -> None:
    server = serve(*tables())
    first = fetch(server, target="test-phone", space=SMALL)
    assert fetch(server, target="test-phone", space=SMALL) == first
    assert servers[0].statuses == [200, 304]


def test_offline_uses_the_kept_table_and_says_so(
    stopped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = fetch(stopped, target="test-phone", space=SMALL, offline=True)
    assert table == tables()[0]
    told = capsys.readouterr().err
    assert told.startswith("offline: using the table of test-phone under ")
    assert f"snapshot {table.snapshot}" in told
    assert " UTC " in told
    assert f"{stopped} was not asked" in told


def test_offline_asks_nobody(serve: Serve, servers: list[TableServer]) -> None:
    server = serve(*tables())
    fetch(server, target="test-phone", space=SMALL)
    fetch(server, target="test-phone", space=SMALL, offline=True)
    assert servers[0].statuses == [200]


def test_without_offline_the_kept_table_is_offered(stopped: str) -> None:
    with pytest.raises(ServerUnreachable) as caught:
        fetch(stopped, target="test-phone", space=SMALL)
    assert "add --offline to use the table of test-phone under" in str(caught.value)
    with pytest.raises(ServerUnreachable) as caught:
        fetch(stopped, target="test-phone@int8", space=SMALL)
    assert "--offline" not in str(caught.value)


def test_offline_finds_a_runtime_by_its_parts(serve: Serve, servers: list[TableServer]) -> None:
    server = serve(*tables())
    fetch(server, target="test-phone@int8", space=SMALL)
    stop(servers)
    found = fetch(server, target="test-phone@int8-t1", space=SMALL, offline=True)
    assert found.runtime == INT8
    with pytest.raises(PhonebookError, match=rf"no table is kept .* test-phone@{INT8.key}"):
        fetch(server, target="test-phone", space=SMALL, offline=True)


@pytest.mark.parametrize(
    ("target", "name", "server"),
    [
        ("other", SMALL.name, None),
        ("test-phone", "fbnet-32", None),
        ("test-phone", SMALL.name, "http://127.0.0.1:9"),
    ],
)
def test_offline_takes_no_other_table(
    stopped: str, target: str, name: str, server: str | None
) -> None:
    with pytest.raises(PhonebookError, match=r"--offline: no table is kept of .* once without"):
        fetch(server or stopped, target=target, space=space(name), offline=True)


def damage(home: Path) -> Path:
    (file,) = (home / "cache" / "tables").glob("*.json")
    file.write_text(file.read_text().replace("10.0", "90.0"))
    return file


def test_a_damaged_file_is_fetched_anew(
    serve: Serve, servers: list[TableServer], home: Path
) -> None:
    server = serve(*tables())
    fetch(server, target="test-phone", space=SMALL)
    damage(home)
    assert fetch(server, target="test-phone", space=SMALL) == tables()[0]
    assert servers[0].statuses == [200, 200]


def test_a_damaged_file_is_never_used_offline(stopped: str, home: Path) -> None:
    file = damage(home)
    with pytest.raises(PhonebookError) as caught:
        fetch(stopped, target="test-phone", space=SMALL, offline=True)
    assert f"broken are {file}" in str(caught.value)
    assert "once without --offline" in str(caught.value)


def test_a_table_that_cannot_be_kept_is_used_all_the_same(
    serve: Serve, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.write_text("a file where the folder should be")
    assert fetch(serve(*tables()), target="test-phone", space=SMALL) == tables()[0]
    assert "could not be kept for --offline" in capsys.readouterr().err


def test_nothing_is_left_beside_the_kept_table(stopped: str, home: Path) -> None:
    assert [path.suffix for path in (home / "cache" / "tables").iterdir()] == [".json"]


def test_predict_and_compare_work_offline(
    serve: Serve, servers: list[TableServer], capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(*tables())
    of_network = ["--network", "fbnet-a", "--space", SMALL.name, "--json", "--server", server]
    predict.app(["--device", "test-phone", *of_network])
    online = json.loads(capsys.readouterr().out)
    compared = ["test-phone", "test-phone@int8", "--space", SMALL.name, "--server", server]
    compare.app([*compared, "--json"])
    both = capsys.readouterr().out
    stop(servers)
    predict.app(["--device", "test-phone", *of_network, "--offline"])
    told = capsys.readouterr()
    assert json.loads(told.out) == online
    assert "was not asked" in told.err
    compare.app([*compared, "--json", "--offline"])
    assert capsys.readouterr().out == both
