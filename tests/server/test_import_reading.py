"""How files of others are read: each row is one of our operators, or rejected with the reason."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.errors import PhonebookError
from contract.spaces import SPACE_NAMES, space
from server.imports import ofa, pickles
from server.imports.__main__ import parse
from server.imports.ofa_keys import name_of, operators_of
from server.imports.operators import shipped
from tests.server.importing import all_shapes, bring_in
from tests.server.making import SPACE


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
        bring_in(file, format)
    assert str(file) in str(caught.value)


def test_a_csv_of_several_runtimes_gives_the_first_alone(tmp_path: Path) -> None:
    first, second = (op.key for op in SPACE.operators[:2])
    file = tmp_path / "table.csv"
    file.write_text(f"runtime,operator,latency_us\na,{first},1\nb,{second},2\n")
    read = parse(file, format="csv")
    assert list(read.found) == [first]
    assert read.rejected[0].reason == "it is of runtime b, not a as the lines above"
