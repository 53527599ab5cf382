"""Imported tables in the commands of the search and on the pages: usable, and always named."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from contract.client import table_client
from contract.errors import IncompleteTable, PhonebookError, RequestRefused
from contract.networks import FBNET_BLOCKS, network
from contract.results import SearchResult
from contract.spaces import SearchSpace, space
from contract.table_keys import TableAddress
from contract.tables import LatencyTable
from search import compare, predict
from search.tables.fetch import fetch
from server.imports.__main__ import app as command
from tests.search.conftest import write_idx_folder
from tests.server.conftest import Agent
from tests.server.importing import FOREIGN
from tests.server.making import RUNTIME, a_session, a_timing, an_audit

BENCH = Path(__file__).parents[1] / "data/hw_nas_bench.json"
SPACE = space("fbnet-32")
SOURCE = "HW-NAS-Bench as HELP has it"
PROVENANCE = f"imported from {SOURCE}, of 2021-03-19"
SMALL = space("fbnet-32-0.35")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the search keeps its tables in."""
    monkeypatch.setenv("PHONEBOOK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def bring_in(file: Path, address: str, device: str, *more: str, format: str) -> None:
    told = ["--source", SOURCE, "--date", "2021-03-19", "--server", address]
    described = ["--model", "M", "--soc", "S", "--cores", "8", "--memory-gb", "4", "--os", "O"]
    command([str(file), "--format", format, "--device", device, *told, *described, *more])


def bring_in_bench(address: str, device: str) -> None:
    metric = ("--metric", f"{device}_latency")
    bring_in(BENCH, address, device, *metric, format="hw-nas-bench")


def bring_in_all_but_a_head(
    folder: Path, address: str, device: str = "fpga", *, of: SearchSpace = SPACE
) -> None:
    """A whole table of the search's networks, in which stem and head take no time."""
    file = folder / f"{device}.csv"
    zeros = (of.stem, of.head)
    us = {op.key: 0 if op in zeros else 10 + op.macs() / 1e5 for op in of.searched_operators}
    lines = [f"{key},{latency}" for key, latency in us.items()]
    file.write_text("\n".join(["operator,latency_us", *lines]) + "\n")
    bring_in(file, address, device, format="csv")


def document_in(output: str) -> dict[str, Any]:
    """The JSON document that ends the output, after what the server in this process logs."""
    found: dict[str, Any] = json.loads(output[output.index("{\n") :])
    return found


def latency_ms(table: LatencyTable, blocks: Sequence[int], space: SearchSpace = SPACE) -> float:
    found = network([FBNET_BLOCKS[block] for block in blocks], space=space)
    return sum(table.latencies_us(found.operators)) / 1000


@pytest.mark.parametrize(
    ("device", "blocks", "ms"),
    [
        ("pixel3", [0] * 22, 7.7889731),
        ("pixel3", [0] * 21 + [1], 7.6731641),
        ("pixel3", [0] * 20 + [1, 1], 7.5963491),
        ("raspi4", [0] * 22, 17.6185791),
        ("eyeriss", [0] * 22, 3.940896),
        ("fpga", [0] * 22, 10.73952),
    ],
)
def test_an_imported_table_gives_the_sums_that_are_published(
    address: str, device: str, blocks: list[int], ms: float
) -> None:
    bring_in_bench(address, device)
    table = fetch(address, target=device, space=SPACE)
    assert latency_ms(table, blocks) == pytest.approx(ms, abs=2e-6)
    assert table.title == f"{device} under {FOREIGN} ({PROVENANCE})"


@pytest.mark.parametrize("end", ["", "@imported", f"@{FOREIGN}", f"@{FOREIGN}@imported", "@t1"])
def test_a_device_that_has_an_import_alone_is_named_like_any_other(address: str, end: str) -> None:
    bring_in_bench(address, "pixel3")
    for offline in (False, True):
        table = fetch(address, target=f"pixel3{end}", space=SPACE, offline=offline)
        assert (table.origin, table.provenance) == ("imported", PROVENANCE)
    then = fetch(address, target=f"pixel3@{table.snapshot}", space=SPACE)
    assert then.entries == table.entries
    assert fetch(address, target=f"pixel3@{table.snapshot}@imported", space=SPACE) == then


def test_measured_rows_come_first_and_emulated_ones_only_by_name(
    agent: Agent, address: str
) -> None:
    emulated = agent.begin(a_session("pixel3", origin="emulated"))
    agent.tell(emulated, a_timing(us=1))
    with pytest.raises(RequestRefused, match="nothing was measured on pixel3"):
        fetch(address, target="pixel3", space=SPACE)
    with pytest.raises(RequestRefused, match="pixel3 has no imported rows"):
        fetch(address, target="pixel3@imported", space=SPACE)
    named = fetch(address, target=f"pixel3@{RUNTIME.key}@emulated", space=SPACE)
    assert [row.latency_us for row in named.entries] == [1]

    agent.tell(agent.begin(a_session("raspi4")), a_timing(us=5))
    command_line = ["--metric", "raspi4_latency", "--source", "x", "--date", "2021-03-19"]
    of_bench = [str(BENCH), "--format", "hw-nas-bench", "--device", "raspi4", *command_line]
    command([*of_bench, "--server", address])
    assert fetch(address, target="raspi4", space=SPACE).origin == "measured"
    assert fetch(address, target="raspi4@imported", space=SPACE).origin == "imported"
    with pytest.raises(PhonebookError, match="no origin 'guessed'"):
        fetch(address, target=f"raspi4@{RUNTIME.key}@guessed", space=SPACE)


def test_a_prediction_says_that_its_table_is_imported(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bring_in_all_but_a_head(tmp_path, address)
    capsys.readouterr()
    asked = ["--device", "fpga", "--network", "fbnet-a", "--space", SPACE.name]
    predict.app([*asked, "--server", address])
    printed = capsys.readouterr().out
    assert f"fbnet-a in fbnet-32 on fpga ({PROVENANCE})" in " ".join(printed.split())
    assert f"on fpga under {FOREIGN} ({PROVENANCE})" in printed
    predict.app([*asked, "--server", address, "--json"])
    document = document_in(capsys.readouterr().out)
    assert document["origin"] == "imported"
    assert document["sources"] == [{"source": SOURCE, "date": "2021-03-19"}]
    for where in ("queue", "here"):
        with pytest.raises(PhonebookError, match=f"--measure {where}: nobody can measure under"):
            predict.app([*asked, "--server", address, "--measure", where])
    capsys.readouterr()
    predict.app([*asked, "--server", address, "--measure", "auto"])
    assert "the table is imported, so the network is not measured" in capsys.readouterr().out


def test_a_comparison_says_so_and_leaves_out_what_takes_no_time(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bring_in_all_but_a_head(tmp_path, address)
    bring_in_all_but_a_head(tmp_path, address, "fpga2")
    capsys.readouterr()
    asked = ["fpga", "fpga2", "--space", SPACE.name, "--server", address]
    compare.app(asked)
    printed = capsys.readouterr().out
    assert f"A: fpga@{FOREIGN}@imported ({PROVENANCE})" in printed
    zeros = f"{SPACE.stem.key}, {SPACE.head.key}"
    assert f"left out, as they take 0 us in one of them: {zeros}" in printed
    compare.app([*asked, "--json"])
    found = document_in(capsys.readouterr().out)
    assert found["without_ratio"] == [SPACE.stem.key, SPACE.head.key]
    assert len(found["pairs"]) == len(SPACE.searched_operators) - 2
    assert found["second_sources"] == [{"source": SOURCE, "date": "2021-03-19"}]


def test_what_an_import_lacks_only_its_source_could_have(address: str) -> None:
    bring_in_bench(address, "pixel3")
    bring_in_bench(address, "raspi4")
    with pytest.raises(IncompleteTable, match="only its source could have them"):
        compare.app(["pixel3", "raspi4", "--space", SPACE.name, "--server", address])


def pages_of(client: TestClient, table: LatencyTable) -> dict[str, str]:
    """Every page that shows something of the table."""
    key, stem = table.key, SPACE.stem.key
    query = f"runtime={key.runtime}&origin=imported"
    paths = {
        "device": f"/devices/{key.device}?space={SPACE.name}",
        "work": f"/devices/{key.device}?space={SPACE.name}&mode=ns_per_mmac",
        "against": f"/devices/{key.device}?space={SPACE.name}&against={key.address}",
        "past": f"/devices/{key.device}?against={key.as_of(table.snapshot)}",
        "operator": f"/devices/{key.device}/operators/{stem}?{query}",
        "overview": "/",
        "compare": f"/compare?a={key.address}&b={key.address}&space={SPACE.name}",
        "compare past": f"/compare?a={key.as_of(table.snapshot)}&b={key.address}",
        "networks": "/networks?network=fbnet-a&space=fbnet-32",
        "export": f"/export?table={key.address}",
        "history": f"/history?device={key.device}",
    }
    found = {}
    for name, path in paths.items():
        answer = client.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 200, f"{path}: {answer.text}"
        found[name] = answer.text
    return found


def test_pages_show_zeros_and_name_no_command_that_would_measure_an_import(
    client: TestClient, address: str, tmp_path: Path
) -> None:
    bring_in_all_but_a_head(tmp_path, address)
    table = fetch(address, target="fpga", space=SPACE)
    pages = pages_of(client, table)
    assert PROVENANCE in pages["device"]
    assert "An imported table cannot be audited" in pages["device"]
    assert "only its source could have them" in pages["device"]
    for name, page in pages.items():
        assert "device_agent.audit --device fpga" not in page, name
        assert f"device_agent.run --device fpga --space {SPACE.name}" not in page, name


def test_an_audit_of_an_imported_table_is_refused_with_words(
    agent: Agent, client: TestClient
) -> None:
    agent.register()
    audit: dict[str, Any] = json.loads(an_audit().model_dump_json())
    answer = agent.post("/audits", json.dumps({**audit, "origin": "imported"}))
    assert answer.status_code == 422
    assert "an imported table cannot be audited" in answer.json()["detail"]


def test_an_address_is_written_in_one_way() -> None:
    snapshot = "sha256:" + "ab" * 32
    for text in (
        "d",
        "d@r",
        "d@r@imported",
        "d@emulated",
        f"d@{snapshot}",
        f"d@{snapshot}@imported",
    ):
        assert str(TableAddress.parse(text)) == text
    assert str(TableAddress.parse("d@r@measured")) == "d@r"
    with pytest.raises(PhonebookError, match="'a@b@c@imported' is no table; one looks like"):
        TableAddress.parse("a@b@c@imported")


@pytest.mark.slow
def test_a_search_by_an_imported_table_says_so_wherever_it_is_told_of(
    address: str, tmp_path: Path, client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    from search import run

    bring_in_all_but_a_head(tmp_path, address, of=SMALL)
    bring_in_all_but_a_head(tmp_path, address, "fpga2", of=SMALL)
    out = tmp_path / "run"
    images = write_idx_folder(tmp_path / "idx", labels=[0, 1] * 8, test_labels=[0, 1])
    asked = ["--device", "fpga", "--device", "fpga2", "--space", SMALL.name, "--out", str(out)]
    asked += ["--server", address, "--data", str(images), "--threads", "1", "--paths", "1"]
    asked += ["--epochs", "1", "--batch-size", "32", "--final.epochs", "1"]
    asked += ["--weight-lr", "0.001", "--samples", "0"]
    with pytest.raises(PhonebookError, match="--measure here: nobody can measure under"):
        run.app([*asked, "--measure", "here"])
    run.app(asked)
    printed = capsys.readouterr().out
    assert f"searching {SMALL.name} for fpga under {FOREIGN} ({PROVENANCE})" in printed
    assert f"fpga2: {PROVENANCE}" in printed
    assert "the table is imported, so the network found is not measured" in printed
    result = SearchResult.read(out / "fpga" / "result.json")
    assert (result.origin, result.provenance) == ("imported", PROVENANCE)
    assert json.loads((out / "fpga" / "config.json").read_text())["origin"] == "imported"
    assert PROVENANCE in (out / "fpga" / "report.html").read_text()
    with table_client(address) as programs:
        (search,) = programs.searches("fpga")
    assert search.plan.provenance == search.elsewhere[0].provenance == PROVENANCE
    browser = {"accept": "text/html"}
    assert PROVENANCE in client.get(f"/searches/{search.id}", headers=browser).text
    assert PROVENANCE in client.get("/searches", headers=browser).text
