"""Files of others: the unit of a CSV, and those that hold no table of operators."""

import json
import pickle
from pathlib import Path

import pytest

from contract.errors import PhonebookError
from server.imports.__main__ import Format, app, parse
from server.imports.csv_rows import Unit
from tests.server.making import STEM


def written(folder: Path, content: str | bytes) -> Path:
    file = folder / "table"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("latency_us", None),
        ("latency_us", "us"),
        ("latency_ms", None),
        ("latency_ns", None),
        ("latency_s", None),
        ("latency", "ms"),
    ],
)
def test_a_csv_tells_its_unit_or_is_told_it(
    tmp_path: Path, column: str, unit: Unit | None
) -> None:
    told = {"us": "1500", "ms": "1.5", "ns": "1500000", "s": "0.0015"}
    figure = told[unit or column.removeprefix("latency_")]
    file = written(tmp_path, f"operator,{column}\n{STEM.key},{figure}\n")
    read = parse(file, format="csv", unit=unit)
    assert {key: row.latency_us for key, row in read.found.items()} == {STEM.key: 1500}


@pytest.mark.parametrize(
    ("column", "unit", "message"),
    [
        ("latency", None, "does not say the unit; give --unit us, ms, ns or s"),
        ("latency_us", "ms", "--unit ms: its column latency_us says us"),
        ("latency_us,latency_ms", None, "several latencies: latency_us, latency_ms"),
        ("ms", None, "no column latency_us"),
    ],
)
def test_a_csv_whose_unit_is_in_doubt_is_refused(
    tmp_path: Path, column: str, unit: Unit | None, message: str
) -> None:
    file = written(tmp_path, f"operator,{column}\n{STEM.key},1,1\n")
    with pytest.raises(PhonebookError, match=message):
        parse(file, format="csv", unit=unit)


def test_a_unit_is_of_csv_alone(tmp_path: Path) -> None:
    told = ["--device", "x", "--source", "x", "--date", "2020-01-01", "--format", "ofa-yaml"]
    with pytest.raises(PhonebookError, match="ofa-yaml has a unit of its own"):
        app([str(written(tmp_path, "")), *told, "--unit", "ms"])


def test_a_zero_is_a_latency_and_less_than_figures_keep_is_none(tmp_path: Path) -> None:
    lines = f"operator,latency_us\n{STEM.key},0\nk3_e6-16x32-16s1,0.00001\n"
    read = parse(written(tmp_path, lines), format="csv")
    assert [row.latency_us for row in read.found.values()] == [0]
    assert "0.00001 is no duration" in read.rejected[0].reason


INSPECTOR = "event_block_name\tevent_name\tp10 (ms)\tavg (ms)\nExecute\tMethod::execute\t1\t1\n"
BENCHMARK_MODEL = (
    "============================== Run Order ==============================\n"
    "node type, start, first, avg_ms, %, cdf%, mem KB, times called, name\n"
    "CONV_2D, 0.1, 1.2, 1.1, 50%, 50%, 0, 1, conv1\n"
)
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|"
PROFILE, NETWORKS = "profile of one model", "latencies of whole networks"


@pytest.mark.parametrize("format", ["csv", "ofa-yaml", "hw-nas-bench"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (INSPECTOR, f"{PROFILE} .of ExecuTorch's Inspector"),
        (INSPECTOR.replace("\t", ","), f"{PROFILE} .of ExecuTorch's Inspector"),
        ("," + INSPECTOR.replace("\t", ","), f"{PROFILE} .of ExecuTorch's Inspector"),
        (BENCHMARK_MODEL, f"{PROFILE} .of TensorFlow Lite's benchmark_model"),
        (BENCHMARK_MODEL.partition("\n")[2], f"{PROFILE} .of TensorFlow Lite's benchmark_model"),
        ("arch,latency\n0 1 2,3.5\n", NETWORKS),
        (json.dumps({CELL: 3.5}), "NAS-Bench-201's cells"),
        (json.dumps({"nasbench201": {"cifar10": {}}}), "NAS-Bench-201's cells"),
        (
            json.dumps({"pixel3": [7.1, 6.2], "fpga": [3.0, 2.0]}),
            "HELP's FBNet latencies are sums",
        ),
        (json.dumps({"[0, 3, 1]": 7.1, "[0, 3, 2]": 8}), "an architecture as each key"),
        (json.dumps({"0": 7.1, "1": 8}), "an architecture as each key"),
        (json.dumps([{"op_idx": [0, 3], "pixel3": 7.1}]), NETWORKS),
        (pickle.dumps({"(0, 3, 1)": 7.1}, 2), "an architecture as each key"),
    ],
)
def test_what_holds_no_operators_is_recognised_whatever_it_is_called(
    tmp_path: Path, content: str | bytes, reason: str, format: Format
) -> None:
    with pytest.raises(PhonebookError, match=reason):
        parse(written(tmp_path, content), format=format)
