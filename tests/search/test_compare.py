import json
import math

import pytest

from contract.blocks import MBConv
from contract.errors import IncompleteTable, PhonebookError
from contract.operators import Operator
from contract.runtime import Runtime
from contract.spaces import SearchSpace, space
from contract.tables import LatencyTable
from search import compare
from tests.search.conftest import Serve
from tests.tables import table_of

SMALL = space("fbnet-32-0.35")
INT8 = Runtime.parse("xnnpack-int8-t1-contiguous-et1.5.1-native-any-in_situ")


def cost(operator: Operator) -> float:
    return 10.0 + operator.macs() / 1000


def cost_with_dear_5x5(operator: Operator) -> float:
    """Twice as slow throughout, and three times more where the kernel is 5x5."""
    block = operator.block
    dear = isinstance(block, MBConv) and block.kernel_size == 5
    return cost(operator) * (6 if dear else 2)


def pixel(space: SearchSpace = SMALL, *, without: tuple[str, ...] = ()) -> LatencyTable:
    return table_of(space, cost_with_dear_5x5, device="pixel", runtime=INT8, without=without)


def test_a_device_that_is_slower_throughout_ranks_alike() -> None:
    slower = table_of(SMALL, lambda operator: 3 * cost(operator), device="slower")
    found = compare.compare(table_of(SMALL, cost), slower, space=SMALL)
    assert found.kendall_tau == pytest.approx(1)
    assert found.spearman == pytest.approx(1)
    assert found.speed_ratio == pytest.approx(3)
    assert list(found.blocks.values()) == pytest.approx([1] * len(found.blocks))
    assert all(pair.first.rank == pair.second.rank for pair in found.pairs)
    assert all(pair.first.slot_rank == pair.second.slot_rank for pair in found.pairs)


def test_what_is_dear_on_one_device_alone_stands_out() -> None:
    found = compare.compare(table_of(SMALL, cost), pixel(), space=SMALL)
    assert found.first.startswith("test-phone@xnnpack-float32")
    assert found.second == f"pixel@{INT8.key}@emulated"
    assert 0 < found.kendall_tau < 1
    assert found.blocks["k5_e3"] / found.blocks["k3_e3"] == pytest.approx(3)
    logs = [math.log(pair.relative_ratio) for pair in found.pairs]
    assert sum(logs) == pytest.approx(0, abs=1e-9)
    shifts = [abs(pair.second.rank - pair.first.rank) for pair in found.pairs]
    assert shifts == sorted(shifts, reverse=True)
    assert shifts[0] > 0


def test_ranks_by_hand(tiny: SearchSpace) -> None:
    first = table_of(tiny)  # 10 us more from row to row
    second = table_of(tiny, lambda operator: 5.0, device="flat")
    found = compare.compare(first, second, space=tiny)
    by_key = {pair.operator: pair for pair in found.pairs}
    assert len(by_key) == len(tiny.operators) == 18
    stem, last = by_key[tiny.stem.key], by_key["k5_e6-4x8-8s2"]
    assert (stem.first.rank, stem.first.slot_rank, stem.slot_operators) == (1, 1, 1)
    assert (last.first.rank, last.first.slot_rank, last.slot_operators) == (17, 8, 8)
    assert (last.second.rank, last.second.slot_rank) == (9.5, 4.5)
    assert found.kendall_tau == 0


def test_the_command_lists_the_operators_and_the_figures(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(table_of(SMALL, cost), pixel())
    arguments = ["test-phone", "pixel@int8", "--space", SMALL.name, "--server", server]
    compare.app([*arguments, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["second"] == f"pixel@{INT8.key}@emulated"
    assert len(document["pairs"]) == len(SMALL.operators)
    compare.app([*arguments, "--top", "3"])
    shown = capsys.readouterr().out
    assert sum(pair["operator"] in shown for pair in document["pairs"]) == 3
    assert f"Kendall tau {document['kendall_tau']:.3f}" in shown
    assert f"B takes {document['speed_ratio']:.2f} times as long as A" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pixel", "pixel@int8"], r"both are the table of pixel@xnnpack-int8-\S+; name two"),
        (["pixel", "other@t1"], r"no device 'other'"),
        (["pixel", "test-phone", "--top", "0"], r"--top is 0, but must be at least 1"),
        (["pixel", "test-phone", "--space", "fbnet"], r"no space 'fbnet'"),
    ],
)
def test_a_wrong_comparison_is_explained(serve: Serve, arguments: list[str], message: str) -> None:
    server = serve(table_of(SMALL, cost), pixel())
    if "--space" not in arguments:
        arguments = [*arguments, "--space", SMALL.name]
    with pytest.raises(PhonebookError, match=message):
        compare.app([*arguments, "--server", server])


def test_an_incomplete_table_is_refused_with_the_command_that_fills_it() -> None:
    gap = SMALL.operators[5].key
    with pytest.raises(IncompleteTable, match=r"device_agent\.run --device pixel .*--dtype int8"):
        compare.compare(table_of(SMALL, cost), pixel(without=(gap,)), space=SMALL)
