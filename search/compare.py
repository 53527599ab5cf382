"""`python -m search.compare TARGET TARGET --space NAME`: where two tables rank operators apart.

A search only asks which operators are cheap beside others, so a network found for one device is
slow on another where the two disagree about that (Wu et al. 2019, arXiv:1812.03443, section 4.3).
"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Annotated

from cyclopts import Parameter
from pydantic import PositiveFloat, PositiveInt
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from contract.audits import kendall_tau, ranks, spearman
from contract.cli import command_line, main
from contract.client import default_server
from contract.errors import PhonebookError
from contract.operators import Operator
from contract.spaces import SearchSpace
from contract.spaces import space as space_named
from contract.tables import LatencyTable
from contract.values import Value
from search.screen import people_us, plain_console
from search.table import fetch

HELP = "List the operators that two tables rank most differently."
app = command_line("python -m search.compare", HELP)


class Ranked(Value):
    """An operator in one of the tables; ranks count from the fastest, ties share their mean.

    `slot_rank` is among the candidates of its slot's shape, which is what a search chooses from;
    the skip, free on every device, is not counted. `rank` is among all operators of the space.
    """

    latency_us: PositiveFloat
    slot_rank: PositiveFloat
    rank: PositiveFloat


class OperatorPair(Value):
    """An operator in both tables.

    `relative_ratio` is second / first over the `speed_ratio` of the tables: above 1 where the
    second device is slower than its overall speed tells. `slot_operators` is how many there are
    of its slot's shape.
    """

    operator: str
    block: str
    slot_operators: PositiveInt
    first: Ranked
    second: Ranked
    relative_ratio: PositiveFloat


class Comparison(Value):
    """Two tables of one space, side by side.

    `speed_ratio` is the geometric mean of second / first over all operators, `blocks` that of
    their relative ratios by block. `pairs` has every operator, first those whose rank in the
    space differs most, and of equal ones those whose relative ratio lies farther from 1.
    """

    first: str
    second: str
    space: str
    kendall_tau: float
    spearman: float
    speed_ratio: PositiveFloat
    blocks: dict[str, PositiveFloat]
    pairs: tuple[OperatorPair, ...]


@app.default
def run(
    first: str,
    second: str,
    /,
    *,
    space: str,
    top: int = 10,
    server: str | None = None,
    offline: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """List the operators that two tables rank most differently.

    Args:
        first: DEVICE, or DEVICE@RUNTIME with a runtime's key or parts of it, as in host@int8.
        second: Another such table.
        space: The search space whose operators count.
        top: How many operators to list.
        server: The server's address; else PHONEBOOK_SERVER, else this computer.
        offline: Use the tables that were fetched last, and do not ask the server.
        as_json: Print one JSON document, with every operator.
    """
    if top < 1:
        raise PhonebookError(f"--top is {top}, but must be at least 1")
    chosen = space_named(space)
    address = server or default_server()
    found = compare(
        fetch(address, target=first, space=chosen, offline=offline),
        fetch(address, target=second, space=chosen, offline=offline),
        space=chosen,
    )
    console = plain_console()
    if as_json:
        console.print(found.model_dump_json(indent=2))
    else:
        show(console, found, top=top)


def compare(first: LatencyTable, second: LatencyTable, *, space: SearchSpace) -> Comparison:
    """Both tables over all operators of `space`.

    Raises:
        PhonebookError: both are the same table.
        IncompleteTable: one of them lacks an operator of the space.
    """
    if _name(first) == _name(second):
        raise PhonebookError(
            f"both are the table of {_name(first)}; name two devices, or two runtimes of one as "
            "DEVICE@RUNTIME"
        )
    operators = space.operators
    first_us, second_us = first.latencies_us(operators), second.latencies_us(operators)
    ratios = [b / a for a, b in zip(first_us, second_us, strict=True)]
    speed_ratio = _geometric_mean(ratios)
    of_first, of_second = _ranked(operators, first_us), _ranked(operators, second_us)
    slots = [operator.slot for operator in operators]
    pairs = [
        OperatorPair(
            operator=operator.key,
            block=operator.block.name,
            slot_operators=slots.count(operator.slot),
            first=of_first[index],
            second=of_second[index],
            relative_ratio=ratios[index] / speed_ratio,
        )
        for index, operator in enumerate(operators)
    ]
    blocks = dict.fromkeys(pair.block for pair in pairs)
    return Comparison(
        first=_name(first),
        second=_name(second),
        space=space.name,
        kendall_tau=kendall_tau(first_us, second_us),
        spearman=spearman(first_us, second_us),
        speed_ratio=speed_ratio,
        blocks={
            block: _geometric_mean([pair.relative_ratio for pair in pairs if pair.block == block])
            for block in blocks
        },
        pairs=tuple(
            sorted(
                pairs,
                key=lambda pair: (
                    -abs(pair.second.rank - pair.first.rank),
                    -abs(math.log(pair.relative_ratio)),
                ),
            )
        ),
    )


def show(console: Console, found: Comparison, *, top: int) -> None:
    """The operators that differ most, then the figures over all of them."""
    console.print(f"A: {found.first}\nB: {found.second}")
    rows = Table(
        title=f"{min(top, len(found.pairs))} of {len(found.pairs)} operators of {found.space}, "
        "by how far their rank differs",
        box=SIMPLE,
    )
    rows.add_column("operator", no_wrap=True)
    for column in ("A", "B", "rank A, B", "in slot", "relative B/A"):
        rows.add_column(column, justify="right")
    for pair in found.pairs[:top]:
        first, second = pair.first, pair.second
        rows.add_row(
            pair.operator,
            people_us(first.latency_us),
            people_us(second.latency_us),
            f"{first.rank:g}, {second.rank:g}",
            f"{first.slot_rank:g}, {second.slot_rank:g} of {pair.slot_operators}",
            f"{pair.relative_ratio:.2f}",
        )
    console.print(rows)
    console.print(
        f"all operators: Kendall tau {found.kendall_tau:.3f}, Spearman {found.spearman:.3f}; "
        f"B takes {found.speed_ratio:.2f} times as long as A (geometric mean)"
    )
    blocks = ", ".join(f"{block} {ratio:.2f}" for block, ratio in found.blocks.items())
    console.print(f"relative B/A by block (geometric mean): {blocks}")


def _name(table: LatencyTable) -> str:
    return f"{table.device}@{table.runtime.key}"


def _geometric_mean(ratios: Sequence[float]) -> float:
    return math.exp(fmean(map(math.log, ratios)))


def _ranked(operators: Sequence[Operator], latencies_us: Sequence[float]) -> list[Ranked]:
    of_slots: dict[int, float] = {}
    for slot in dict.fromkeys(operator.slot for operator in operators):
        alike = [index for index, operator in enumerate(operators) if operator.slot == slot]
        slot_ranks = ranks([latencies_us[index] for index in alike])
        of_slots.update(zip(alike, slot_ranks, strict=True))
    return [
        Ranked(latency_us=latency_us, slot_rank=of_slots[index], rank=rank)
        for index, (latency_us, rank) in enumerate(
            zip(latencies_us, ranks(latencies_us), strict=True)
        )
    ]


if __name__ == "__main__":
    main(app)
