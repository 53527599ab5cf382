"""Tables of others: taken in by the command, stored whole, served by name, written back."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from contract.errors import PhonebookError, RequestRefused
from contract.imports import Import, ImportedTiming
from contract.operators import Operator
from contract.runtime import Runtime
from contract.sessions import Origin, Session
from contract.spaces import space
from tests.server.conftest import Agent
from tests.server.importing import FOREIGN, all_shapes, bring_in
from tests.server.making import RUNTIME, SPACE, a_session, a_timing

PHONE_OPTIONS = ["--model", "Pixel 3", "--soc", "Snapdragon 845", "--cores", "8"]
PHONE_OPTIONS += ["--memory-gb", "4", "--os", "Android 9"]


def entries(client: TestClient, query: str = "", device: str = "pixel3") -> dict[str, float]:
    answer = client.get(f"/lut/{device}?origin=imported{query}")
    assert answer.status_code == 200, answer.text
    return {row["operator"]: row["latency_us"] for row in answer.json()["entries"]}


@pytest.mark.slow
@pytest.mark.parametrize("format", ["csv", "ofa-yaml"])
def test_what_the_server_writes_can_be_imported_with_the_same_numbers(
    agent: Agent, client: TestClient, address: str, tmp_path: Path, format: str
) -> None:
    latencies = {op: 10.1234 + 7.0007 * n for n, op in enumerate(SPACE.operators)}
    agent.tell(agent.begin(), *(a_timing(op, us=round(us, 4)) for op, us in latencies.items()))
    measured = client.get(f"/lut/phone?format={format}")
    assert measured.status_code == 200
    file = tmp_path / "table"
    file.write_bytes(measured.content)
    bring_in(file, format, *PHONE_OPTIONS, "--server", address)
    told = client.get("/lut/phone?space=fbnet-32").json()
    assert entries(client, "&space=fbnet-32") == {
        row["operator"]: row["latency_us"] for row in told["entries"]
    }
    found = client.get("/lut/pixel3?origin=imported&space=fbnet-32").json()
    assert found["complete"]
    assert Runtime.model_validate(found["runtime"]).key == (
        RUNTIME.key if format == "csv" else FOREIGN
    )
    again = client.get(f"/lut/pixel3?origin=imported&format={format}").text
    if format == "ofa-yaml":
        assert again == measured.text
    else:
        assert len(again.splitlines()) == len(measured.text.splitlines())


def test_an_import_is_a_table_of_its_own_with_source_and_date(
    client: TestClient, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(all_shapes()))
    options = ["--metric", "pixel3_latency", "--server", address]
    bring_in(file, "hw-nas-bench", *PHONE_OPTIONS, *options)
    printed = capsys.readouterr().out
    assert "rejected key: Skip_H56_W56_Cin24_Cout24_stride1: " in printed
    assert f"98 rows of fbnet-224 on pixel3 under {FOREIGN}: stored, session " in printed
    assert "4 rows rejected" in printed
    (session,) = client.get("/sessions?device=pixel3").json()
    assert (session["origin"], session["source"]) == ("imported", "a paper")
    assert session["started_at"] == "2019-06-01T00:00:00Z"
    row = client.get("/lut/pixel3?origin=imported").json()["entries"][0]
    assert (row["grade"], row["samples"], row["rounds"]) == ("C", 1, 1)
    assert row["measured_at"] == "2019-06-01T00:00:00Z"

    assert client.get("/lut/pixel3").status_code == 404  # nothing was measured
    measured = client.get(f"/lut/pixel3?runtime={FOREIGN}").json()
    assert measured["entries"] == []
    assert client.get("/lut/pixel3/snapshots").json() == []
    (kept,) = client.get("/lut/pixel3/snapshots?origin=imported").json()
    assert kept["rows"] == 98

    bring_in(file, "hw-nas-bench", *options)
    assert "were stored before" in capsys.readouterr().out
    assert len(client.get("/sessions?device=pixel3").json()) == 1
    assert client.get("/lut/pixel3/snapshots?origin=imported").json() == [kept]


def test_rows_of_several_spaces_are_several_sessions(
    client: TestClient, address: str, tmp_path: Path
) -> None:
    small, large = SPACE.operators[:3], space("fbnet-224").operators[:5]
    file = tmp_path / "table.csv"
    lines = [f"{op.key},{n}.5" for n, op in enumerate((*small, *large), start=1)]
    file.write_text("\ufeff" + "\n".join(["operator,latency_us", *lines]) + "\n")
    bring_in(file, "csv", *PHONE_OPTIONS, "--server", address)
    assert len(entries(client)) == 8
    sessions = client.get("/sessions?device=pixel3").json()
    assert {session["space"] for session in sessions} == {"fbnet-32", "fbnet-224"}


def test_a_dry_run_shows_what_would_be_stored_and_asks_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "table.csv"
    file.write_text(f"operator,latency_us\n{SPACE.stem.key},12.5\nk9,1\n")
    bring_in(file, "csv", "--dry-run", "--server", "http://127.0.0.1:9")
    printed = capsys.readouterr().out
    assert "rejected line 3: k9: no space has an operator k9" in printed
    assert f"  {SPACE.stem.key}: 12.5 us" in printed
    assert "1 rows would be stored, 1 are rejected" in printed


def test_more_bad_input_of_the_command_is_explained(tmp_path: Path, address: str) -> None:
    with pytest.raises(PhonebookError, match=r"cannot read .*: No such file"):
        bring_in(tmp_path / "nothing.csv", "csv")
    file = tmp_path / "table.csv"
    file.write_text(f"operator,latency_us\n{SPACE.stem.key},12.5\n")
    with pytest.raises(PhonebookError, match=r"no device 'pixel3'.* --soc, --cores"):
        bring_in(file, "csv", "--server", address)
    with pytest.raises(PhonebookError, match="device: String should match"):
        bring_in(file, "csv", "--dry-run", device="Pixel 3")
    with pytest.raises(PhonebookError, match="is no runtime"):
        bring_in(file, "csv", "--runtime", "tflite", "--dry-run")
    with pytest.raises(RequestRefused, match="not a time in the past"):
        bring_in(file, "csv", *PHONE_OPTIONS, "--server", address, date="1999-01-01")
    bench = tmp_path / "bench.json"
    bench.write_text(json.dumps(all_shapes()))
    with pytest.raises(PhonebookError, match="pixel3_energy is no latency"):
        bring_in(bench, "hw-nas-bench", "--metric", "pixel3_energy")


def told(operator: Operator = SPACE.stem, *, us: float = 10.0) -> ImportedTiming:
    """What a table of others says of an operator."""
    return ImportedTiming(**dict(a_timing(operator, us=us)))


def an_import(**changes: Any) -> dict[str, Any]:
    session = a_session(origin="imported", source="a paper")
    new = Import(session=session, timings=(told(us=5), told(SPACE.head, us=7)))
    return {**json.loads(new.model_dump_json()), **changes}


def test_an_import_is_stored_whole_or_not_at_all(agent: Agent, client: TestClient) -> None:
    agent.register()
    bad = an_import()
    bad["timings"][1]["operator"] = json.loads(space("fbnet-224").head.model_dump_json())
    assert agent.post("/imports", json.dumps(bad)).status_code == 422
    assert client.get("/sessions?device=phone").json() == []

    good = an_import()
    assert agent.post("/imports", json.dumps(good)).status_code == 201
    assert agent.post("/imports", json.dumps(good)).status_code == 200
    fewer = {**good, "timings": good["timings"][:1]}
    assert agent.post("/imports", json.dumps(fewer)).status_code == 409
    other = {**an_import(), "timings": good["timings"]}
    assert agent.post("/imports", json.dumps(other)).status_code == 409
    assert len(client.get("/sessions?device=phone").json()) == 1
    twice = {**an_import(), "timings": [good["timings"][0]] * 2}
    assert agent.post("/imports", json.dumps(twice)).status_code == 422


def test_nothing_else_passes_for_imported(agent: Agent) -> None:
    agent.register()
    measured = json.loads(a_session().model_dump_json())
    assert agent.post("/imports", json.dumps(an_import(session=measured))).status_code == 422
    imported = an_import()["session"]
    answer = agent.post("/sessions", json.dumps(imported))
    assert answer.status_code == 422
    assert "POST to /imports" in answer.json()["detail"]


@pytest.mark.parametrize(("origin", "source"), [("imported", None), ("measured", "a paper")])
def test_a_source_belongs_to_imported_timings(origin: Origin, source: str | None) -> None:
    with pytest.raises(ValueError, match="tell their source"):
        a_session(origin=origin, source=source)


def test_only_imported_timings_have_a_foreign_runtime() -> None:
    foreign = Runtime.parse(FOREIGN)
    assert foreign.key == FOREIGN
    with pytest.raises(ValueError, match="only imported"):
        a_session(runtime=foreign)
    assert isinstance(a_session(origin="imported", source="a", runtime=foreign), Session)


def test_several_imported_runtimes_must_be_told_apart(agent: Agent, client: TestClient) -> None:
    agent.register()
    runtimes = [RUNTIME, Runtime.parse(FOREIGN)]
    for runtime in runtimes:
        session = a_session(origin="imported", source="a paper", runtime=runtime)
        new = Import(session=session, timings=(told(),))
        assert agent.post("/imports", new.model_dump_json()).status_code == 201
    answer = client.get("/lut/phone?origin=imported")
    assert answer.status_code == 422
    assert all(runtime.key in answer.json()["detail"] for runtime in runtimes)
