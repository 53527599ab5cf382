"""Tables of others: read by the command, stored whole, served by name, written back."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from contract.errors import PhonebookError, RequestRefused
from contract.imports import Import, ImportedTiming
from contract.operators import Operator
from contract.runtime import Runtime
from contract.sessions import Origin, Session
from contract.spaces import SPACE_NAMES, space
from server.imports import ofa, pickles
from server.imports.__main__ import app as command
from server.imports.__main__ import parse
from server.imports.ofa_keys import name_of, operators_of
from server.imports.operators import shipped
from tests.server.conftest import Agent
from tests.server.making import RUNTIME, SPACE, a_session, a_timing

FOREIGN = "foreign-float32-t1-contiguous-et0-native-any-isolated"
PHONE_OPTIONS = ["--model", "Pixel 3", "--soc", "Snapdragon 845", "--cores", "8"]
PHONE_OPTIONS += ["--memory-gb", "4", "--os", "Android 9"]


def run(
    file: Path, format: str, *more: str, device: str = "pixel3", date: str = "2019-06-01"
) -> None:
    told = ["--source", "a paper", "--date", date]
    command([str(file), "--format", format, "--device", device, *told, *more])


def entries(client: TestClient, query: str = "", device: str = "pixel3") -> dict[str, float]:
    answer = client.get(f"/lut/{device}?origin=imported{query}")
    assert answer.status_code == 200, answer.text
    return {row["operator"]: row["latency_us"] for row in answer.json()["entries"]}


def all_shapes(metric: str = "pixel3_latency") -> dict[str, Any]:
    """A file of HW-NAS-Bench with every operator of fbnet-224 and what we have none of."""
    chosen = space("fbnet-224")
    table: dict[str, float] = {"ConvNorm_H224_W224_Cin3_Cout16_kernel3_stride2_group1": 0.5}
    for index, operator in enumerate(chosen.operators):
        block, slot = operator.block, operator.slot
        if block.kind == "mbconv":
            size = slot.input_size
            table[
                f"ConvBlock_H{size}_W{size}_Cin{slot.in_channels}_Cout{slot.out_channels}"
                f"_exp{block.expansion}_kernel{block.kernel_size}_stride{slot.stride}"
                f"_group{block.groups}"
            ] = 1 + index / 8
    table["ConvNorm_H7_W7_Cin352_Cout1984_kernel1_stride1_group1"] = 1.5
    table["AvgP_H7_W7_Cin1984_Cout1984_kernel7_stride1"] = 0.25
    table["FC_Cin1984_Cout1000"] = 0.75
    table["ConvNorm_H7_W7_Cin352_Cout1504_kernel1_stride1_group1"] = 1.25
    table["Skip_H56_W56_Cin24_Cout24_stride1"] = 0.01
    table["ConvBlock_H9_W9_Cin7_Cout7_exp1_kernel3_stride1_group1"] = 1.0
    table["ConvBlock_H9_W9_Cin7_Cout7_exp1_kernel3_stride1_group2"] = 1.0
    return {"fbnet": {metric: table, "pixel3_energy": {}}}


def test_hw_nas_bench_maps_blocks_stem_and_whole_heads(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(all_shapes()))
    read = parse(file, format="hw-nas-bench", metric="pixel3_latency")
    chosen = space("fbnet-224")
    told = {key: found.latency_us for key, found in read.found.items()}
    wanted = {operator.key for operator in chosen.operators}
    assert wanted - told.keys() == {"head1504-352x7-1000s7"}  # its average is not there
    assert told[chosen.stem.key] == 500
    assert told["head1984-352x7-1000s7"] == 2500
    reasons = {rejected.name: rejected.reason for rejected in read.rejected}
    assert "0 us by definition" in reasons["Skip_H56_W56_Cin24_Cout24_stride1"]
    assert (
        "other parts are not there"
        in (reasons["ConvNorm_H7_W7_Cin352_Cout1504_kernel1_stride1_group1"])
    )
    lone, odd = (f"ConvBlock_H9_W9_Cin7_Cout7_exp1_kernel3_stride1_group{n}" for n in (1, 2))
    assert "no space has an operator k3_e1-7x9-7s1" in reasons[lone]
    assert "divisible by 2" in reasons[odd]
    assert len(reasons) == 4


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_numbers_tells_the_same_as_json(tmp_path: Path, protocol: int) -> None:
    document = all_shapes()
    numbers = document["fbnet"]["pixel3_latency"]
    document["fbnet"]["pixel3_latency"] = {
        key: (np.float64, np.float32, float, np.dtype(">f8").type)[index % 4](ms)
        for index, (key, ms) in enumerate(numbers.items())
    }
    plain, pickled = tmp_path / "bench.json", tmp_path / "bench.pickle"
    plain.write_text(json.dumps(all_shapes()))
    pickled.write_bytes(pickle.dumps(document, protocol))
    first, second = (
        parse(file, format="hw-nas-bench", metric="pixel3_latency").found
        for file in (plain, pickled)
    )
    assert {key: row.latency_us for key, row in first.items()} == {
        key: row.latency_us for key, row in second.items()
    }


class Harmful:
    """Would make a file when unpickled."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self._reduced = (call, arguments)

    def __reduce__(self) -> Any:
        return self._reduced


@pytest.mark.parametrize(
    "call",
    [os.system, eval, getattr, __import__, np.load, open, type],
    ids=lambda call: str(getattr(call, "__name__", call)),
)
def test_a_pickle_that_wants_more_than_numbers_is_refused(tmp_path: Path, call: Any) -> None:
    trace = tmp_path / "trace"
    content = pickle.dumps({"fbnet": Harmful(call, f"touch {trace}")}, 2)
    with pytest.raises(pickles.Refused, match="only numbers are taken"):
        pickles.load(content)
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02",
        b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R.",
        b"\x80\x02cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\nK\x01K\x02\x86R.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00rot\x86R.",
        b"\x80\x02K\x01Q.",
        pickle.dumps(all_shapes(), 2)[:-40],
    ],
)
def test_a_broken_or_tricky_pickle_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        pickles.load(content)


@pytest.mark.parametrize(
    ("key", "operator"),
    [
        (
            "expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:3-stride:2-idskip:0",
            "k3_e3-16x112-24s2",
        ),
        (
            "expanded_conv-input:56x56x24-output:56x56x24-expand:144-kernel:5-stride:1-idskip:1"
            "-se:0-hs:0",
            "k5_e6-24x56-24s1",
        ),
        ("Conv-input:224x224x3-output:112x112x16", "stem-3x224-16s2"),
    ],
)
def test_keys_of_proxylessnas_and_once_for_all_name_our_operators(key: str, operator: str) -> None:
    assert operators_of(key, shipped())[0].key == operator


BLOCK = "expanded_conv-input:56x56x24-output:56x56x24-"
FOREIGN_ROWS = {
    f"{BLOCK}expand:6-kernel:9-stride:1-idskip:1": "kernel_size",
    f"{BLOCK}expand:1-kernel:3-stride:1-idskip:1": "no first 1x1 convolution",
    f"{BLOCK}expand:6-kernel:3-stride:1-idskip:0": "add their input exactly where",
    f"{BLOCK}expand:144-kernel:3-stride:1-idskip:1-se:1-hs:0": "squeeze and excitation",
    f"{BLOCK}expand:144-kernel:3-stride:1-idskip:1-se:0-hs:1": "hard swish",
    f"{BLOCK}expand:100-kernel:3-stride:1-idskip:1-se:0-hs:0": "no multiple of 24",
    f"{BLOCK}kernel:3-stride:1-idskip:1": "the key has no expand",
    f"{BLOCK}expand:6-kernel:3-stride:2-idskip:0": "does not lead from 56 to 56",
    f"{BLOCK}expand:6-kernel:3-stride:1-idskip:1-groups:0": "groups",
    "expanded_conv-input:9x9x9-output:9x9x9-expand:6-kernel:3-stride:1-idskip:1": "no space has",
    "Conv_1-input:7x7x321-output:7x7x1280": "a part of a head",
    "Logits-input:7x7x1280-output:1000": "a part of a head",
    "Conv-input:224x100x3-output:112x112x16": "not the shape of a square",
    "Conv-input:0x0x0-output:1x1x1": "no shape",
    "mystery": "not of the form",
}


def test_every_row_that_names_none_of_ours_is_rejected_by_its_line(tmp_path: Path) -> None:
    good = f"{BLOCK}expand:6-kernel:3-stride:1-idskip:1"
    lines = [f"{key}: {{count: 5, mean: 1.0, var: 0.1}}" for key in FOREIGN_ROWS]
    lines += [f"{good}: {{count: 5, mean: 2.5}}", f"{good}: {{mean: 3}}"]
    lines += ["Conv-input:224x224x3-output:112x112x16: {mean: 6.0329findstr04639175257}"]
    lines += ["Conv-input:224x224x3-output:112x112x16: {mean: .nan}"]
    lines += ["Conv-input:224x224x3-output:112x112x16: {count: 1}", "? [a, b]\n: 1"]
    file = tmp_path / "table.yaml"
    file.write_text("\n".join(lines) + "\n")
    read = parse(file, format="ofa-yaml")
    assert {key: row.latency_us for key, row in read.found.items()} == {"k3_e6-24x56-24s1": 2500}
    assert len(read.rejected) == len(lines) - 1
    for number, (key, reason) in enumerate(FOREIGN_ROWS.items(), start=1):
        rejected = read.rejected[number - 1]
        assert (rejected.place, rejected.name) == (f"line {number}", key)
        assert reason in rejected.reason
    more = [rejected.reason for rejected in read.rejected[len(FOREIGN_ROWS) :]]
    assert more[0] == f"k3_e6-24x56-24s1 has a row already, line {len(FOREIGN_ROWS) + 1}"
    assert more[1:4] == [
        "'6.0329findstr04639175257' is no number",
        "'.nan' is no number",
        "it has no field `mean`",
    ]


@pytest.mark.parametrize("name", SPACE_NAMES)
def test_a_table_written_for_once_for_all_is_read_as_the_same_numbers(
    tmp_path: Path, name: str
) -> None:
    operators = space(name).operators
    latencies = {op.key: 0.0001 + 1234.5678 * n for n, op in enumerate(operators)}
    latencies = {key: round(us, 4) for key, us in latencies.items()}
    file = tmp_path / "table.yaml"
    file.write_text(ofa.dump(latencies))
    read = parse(file, format="ofa-yaml")
    assert {key: row.latency_us for key, row in read.found.items()} == latencies
    assert read.rejected == []


def test_every_operator_has_its_own_key_there() -> None:
    operators = shipped().operators
    assert len({name_of(op) for op in operators.values()}) == len(operators)


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
    run(file, format, *PHONE_OPTIONS, "--server", address)
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
    run(file, "hw-nas-bench", *PHONE_OPTIONS, *options)
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

    run(file, "hw-nas-bench", *options)
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
    run(file, "csv", *PHONE_OPTIONS, "--server", address)
    assert len(entries(client)) == 8
    sessions = client.get("/sessions?device=pixel3").json()
    assert {session["space"] for session in sessions} == {"fbnet-32", "fbnet-224"}


def test_a_dry_run_shows_what_would_be_stored_and_asks_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "table.csv"
    file.write_text(f"operator,latency_us\n{SPACE.stem.key},12.5\nk9,1\n")
    run(file, "csv", "--dry-run", "--server", "http://127.0.0.1:9")
    printed = capsys.readouterr().out
    assert "rejected line 3: k9: no space has an operator k9" in printed
    assert f"  {SPACE.stem.key}: 12.5 us" in printed
    assert "1 rows would be stored, 1 are rejected" in printed


@pytest.mark.parametrize(
    ("format", "content", "message"),
    [
        ("csv", b"", "no column operator and no latency_us"),
        ("csv", b"operator,ms\nx,1\n", "no column latency_us"),
        ("csv", b"operator,latency_us\nk9,1\nk8,x\n", "none of its 2 rows is an operator"),
        ("csv", b"\xff\xfe\x00", "not text in UTF-8"),
        ("ofa-yaml", b"- 1\n", "no mapping"),
        ("ofa-yaml", b"a: [1\n", "it is not YAML"),
        ("ofa-yaml", b"[" * 5000, "nested too deeply"),
        ("ofa-yaml", b"", "no mapping"),
        ("hw-nas-bench", b"{", "neither JSON nor a pickle"),
        ("hw-nas-bench", b"[1]", "neither `fbnet`"),
        ("hw-nas-bench", b"[" * 100_000, "nested too deeply"),
        ("hw-nas-bench", b'{"a": 1, "a": 2}', "the key a comes twice"),
        ("hw-nas-bench", json.dumps(all_shapes()).encode(), "name one with --metric: pixel3_en"),
    ],
)
def test_a_file_of_another_form_is_explained(
    tmp_path: Path, format: str, content: bytes, message: str
) -> None:
    file = tmp_path / "table"
    file.write_bytes(content)
    with pytest.raises(PhonebookError, match=message) as caught:
        run(file, format)
    assert str(file) in str(caught.value)


def test_more_bad_input_of_the_command_is_explained(tmp_path: Path, address: str) -> None:
    with pytest.raises(PhonebookError, match=r"cannot read .*: No such file"):
        run(tmp_path / "nothing.csv", "csv")
    file = tmp_path / "table.csv"
    file.write_text(f"operator,latency_us\n{SPACE.stem.key},12.5\n")
    with pytest.raises(PhonebookError, match=r"no device 'pixel3'.* --soc, --cores"):
        run(file, "csv", "--server", address)
    with pytest.raises(PhonebookError, match="device: String should match"):
        run(file, "csv", "--dry-run", device="Pixel 3")
    with pytest.raises(PhonebookError, match="is no runtime"):
        run(file, "csv", "--runtime", "tflite", "--dry-run")
    with pytest.raises(RequestRefused, match="not a time in the past"):
        run(file, "csv", *PHONE_OPTIONS, "--server", address, date="1999-01-01")
    bench = tmp_path / "bench.json"
    bench.write_text(json.dumps(all_shapes()))
    with pytest.raises(PhonebookError, match="pixel3_energy is no latency"):
        run(bench, "hw-nas-bench", "--metric", "pixel3_energy")


def test_a_csv_of_several_runtimes_gives_the_first_alone(tmp_path: Path) -> None:
    first, second = (op.key for op in SPACE.operators[:2])
    file = tmp_path / "table.csv"
    file.write_text(f"runtime,operator,latency_us\na,{first},1\nb,{second},2\n")
    read = parse(file, format="csv")
    assert list(read.found) == [first]
    assert read.rejected[0].reason == "it is of runtime b, not a as the lines above"


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
