"""Tables of Once-for-All and ProxylessNAS find their rows in the spaces of their authors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.client import table_client
from contract.spaces import space
from server.imports.__main__ import app as command
from server.imports.__main__ import parse


def once_for_all() -> Iterator[str]:
    """The 96 keys of its authors' table of the Note10 at 224 pixels, by their own rules."""
    yield "Conv-input:224x224x3-output:112x112x24"
    yield (
        "expanded_conv-input:112x112x24-output:112x112x24-expand:24-kernel:3-stride:1-idskip:1"
        "-se:0-hs:0"
    )
    channels, size = 24, 112
    for width, stride, se, hs in (
        (32, 2, 0, 0),
        (48, 2, 1, 0),
        (96, 2, 0, 1),
        (136, 1, 1, 1),
        (192, 2, 1, 1),
    ):
        small = size // stride
        for kernel in (3, 5, 7):
            for ratio in (3, 4, 6):
                end = f"-se:{se}-hs:{hs}"
                yield (
                    f"expanded_conv-input:{size}x{size}x{channels}-output:{small}x{small}x{width}"
                    f"-expand:{channels * ratio}-kernel:{kernel}-stride:{stride}-idskip:0{end}"
                )
                yield (
                    f"expanded_conv-input:{small}x{small}x{width}-output:{small}x{small}x{width}"
                    f"-expand:{width * ratio}-kernel:{kernel}-stride:1-idskip:1{end}"
                )
        channels, size = width, small
    yield "Conv_1-input:7x7x192-output:7x7x1152"
    yield "AvgPool2D-input:7x7x1152-output:1x1x1152"
    yield "Conv_2-input:1x1x1152-output:1x1x1536"
    yield "Logits-input:1x1x1536-output:1000"


def proxylessnas() -> Iterator[str]:
    """The keys of a whole table of ProxylessNAS' space, by its authors' rules."""
    yield "Conv-input:224x224x3-output:112x112x32"
    yield "expanded_conv-input:112x112x32-output:112x112x16-expand:1-kernel:3-stride:1-idskip:0"
    channels, size = 16, 112
    stages = ((24, 2), (40, 2), (80, 2), (96, 1), (192, 2), (320, 1))
    for width, stride in stages:
        small = size // stride
        for kernel in (3, 5, 7):
            for ratio in (3, 6):
                block = f"-expand:{ratio}-kernel:{kernel}"
                yield (
                    f"expanded_conv-input:{size}x{size}x{channels}-output:{small}x{small}x{width}"
                    f"{block}-stride:{stride}-idskip:0"
                )
                if width != 320:
                    yield (
                        f"expanded_conv-input:{small}x{small}x{width}"
                        f"-output:{small}x{small}x{width}{block}-stride:1-idskip:1"
                    )
        channels, size = width, small
    yield "Conv_1-input:7x7x320-output:7x7x1280"
    yield "Logits-input:7x7x1280-output:1000"


@pytest.mark.parametrize(
    ("keys", "name", "count", "head_ms"),
    [
        (list(once_for_all()), "ofa-mbv3-224-1.2", 96, 93 + 94 + 95 + 96),
        (list(proxylessnas()), "proxylessnas-224", 70, 69 + 70),
    ],
)
def test_every_row_has_its_operator_and_the_parts_of_the_head_are_one(
    tmp_path: Path, keys: list[str], name: str, count: int, head_ms: int
) -> None:
    assert len(keys) == count
    file = tmp_path / "table.yaml"
    lines = [f"{key}:\n  count: 5\n  mean: {n}.0\n" for n, key in enumerate(keys, start=1)]
    file.write_text("".join(lines))
    read = parse(file, format="ofa-yaml")
    assert read.rejected == []
    wanted = space(name)
    assert read.found.keys() == {operator.key for operator in wanted.operators}
    assert read.found[wanted.stem.key].latency_us == 1000
    assert read.found[wanted.head.key].latency_us == head_ms * 1000
    first = wanted.choices[0].candidates[0]
    assert first.block.kind == "separable"
    assert read.found[first.key].latency_us == 2000


def test_a_head_without_all_its_parts_is_no_head(tmp_path: Path) -> None:
    file = tmp_path / "table.yaml"
    kept = [key for key in once_for_all() if not key.startswith("Conv_2")]
    file.write_text("".join(f"{key}: {{mean: 1.0}}\n" for key in kept))
    read = parse(file, format="ofa-yaml")
    assert [each.name.partition("-")[0] for each in read.rejected] == [
        *("Conv_1", "AvgPool2D", "Logits")
    ]
    assert all("other parts are not there" in each.reason for each in read.rejected)


def test_a_row_that_is_told_by_our_own_key_is_that_operator(tmp_path: Path) -> None:
    key = space("ofa-mbv3-224").head.key
    file = tmp_path / "table.yaml"
    file.write_text(f"{key}: {{mean: 1.5}}\n")
    assert parse(file, format="ofa-yaml").found[key].latency_us == 1500


OWN = """
name: mine
resolution: 160
classes: 1000
stem: {block: {kind: conv, kernel_size: 3, activation: hswish}, channels: 24, stride: 2}
stages:
  - channels: 24
    depth: 1
    candidates: [{kind: separable, kernel_size: 3}]
  - channels: 32
    depth: [1, 2]
    stride: 2
    candidates: [{kind: mbconv, kernel_size: 7, expansion: 4}]
heads:
  - {kind: head, channels: 1152, hidden: 1536, activation: hswish}
"""


def test_rows_are_placed_in_a_space_of_ones_own(tmp_path: Path, address: str) -> None:
    """Once-for-All's authors have tables for other sizes of image, too."""
    block = "expanded_conv-input:80x80x24-output:"
    keys = [
        "Conv-input:160x160x3-output:80x80x24",
        f"{block}80x80x24-expand:24-kernel:3-stride:1-idskip:1-se:0-hs:0",
        f"{block}40x40x32-expand:96-kernel:7-stride:2-idskip:0-se:0-hs:0",
        f"{block}40x40x32-expand:96-kernel:5-stride:2-idskip:0-se:0-hs:0",
    ]
    own, table = tmp_path / "mine.yaml", tmp_path / "table.yaml"
    own.write_text(OWN)
    table.write_text("".join(f"{key}: {{mean: 1.5}}\n" for key in keys))
    told = ["--device", "note10", "--source", "x", "--date", "2019-12-01", "--server", address]
    told += ["--model", "M", "--soc", "S", "--cores", "8", "--memory-gb", "4", "--os", "O"]
    command([str(table), "--format", "ofa-yaml", "--space", str(own), *told])
    with table_client(address) as client:
        found, _ = client.newer_table("note10", space="mine", origin="imported") or (None, "")
    assert found is not None
    assert {row.operator for row in found.entries} == {
        "conv3_hswish-3x160-24s2",
        "sep3-24x80-24s1",
        "k7_e4-24x80-32s2",
    }
