"""`python -m search.compare TARGET TARGET --space NAME`: where two tables rank operators apart.

A search only asks which operators are cheap beside others, so a network found for one device is
slow on another where the two disagree about that (Wu et al. 2019, arXiv:1812.03443, section 4.3).
"""

from typing import Annotated

from cyclopts import Parameter
from pydantic import PositiveFloat, PositiveInt
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from contract import comparison
from contract.cli import command_line, main
from contract.client import default_server, known_space
from contract.errors import PhonebookError
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from contract.values import Value
from search.console import people_us, plain_console
from search.tables.fetch import fetch

HELP = "List the operators that two tables rank most differently."
app = command_line("python -m search.compare", HELP)


class Ranked(Value):
    """An operator in one of the tables, as `contract.comparison` ranks it."""

    latency_us: PositiveFloat
    slot_rank: PositiveFloat
    rank: PositiveFloat

    @classmethod
    def of(cls, found: comparison.Ranked) -> "Ranked":
        return cls(latency_us=found.latency_us, slot_rank=found.slot_rank, rank=found.rank)


class OperatorPair(Value):
    """An operator in both tables."""

    operator: str
    block: str
    slot_operators: PositiveInt
    first: Ranked
    second: Ranked
    relative_ratio: PositiveFloat

    @classmethod
    def of(cls, found: comparison.ComparedOperator) -> "OperatorPair":
        return cls(
            operator=found.operator.key,
            block=found.operator.block.name,
            slot_operators=found.slot_operators,
            first=Ranked.of(found.first),
            second=Ranked.of(found.second),
            relative_ratio=found.relative_ratio,
        )


class ComparedTables(Value):
    """What --json prints. `pairs` has every operator, first those whose rank differs most."""

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
    address = server or default_server()
    chosen = known_space(space, server=address)
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


def compare(first: LatencyTable, second: LatencyTable, *, space: SearchSpace) -> ComparedTables:
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
    for table in (first, second):
        table.latencies_us(space.operators)  # raises where one lacks an operator
    found = comparison.compare(first, second, space.operators)
    assert found.speed_ratio is not None
    assert found.kendall_tau is not None
    assert found.spearman is not None
    return ComparedTables(
        first=_name(first),
        second=_name(second),
        space=space.name,
        kendall_tau=found.kendall_tau,
        spearman=found.spearman,
        speed_ratio=found.speed_ratio,
        blocks=found.blocks,
        pairs=tuple(map(OperatorPair.of, found.by_shift)),
    )


def show(console: Console, found: ComparedTables, *, top: int) -> None:
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


if __name__ == "__main__":
    main(app)
