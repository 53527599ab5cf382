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
from contract.imports import ImportedFrom, provenance
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
    """What --json prints. `pairs` has every operator, first those whose rank differs most.

    `without_ratio` are those that take no time in one of the tables.
    """

    first: str
    second: str
    first_sources: tuple[ImportedFrom, ...]
    second_sources: tuple[ImportedFrom, ...]
    space: str
    kendall_tau: float
    spearman: float
    speed_ratio: PositiveFloat
    blocks: dict[str, PositiveFloat]
    pairs: tuple[OperatorPair, ...]
    without_ratio: tuple[str, ...]


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
        first: DEVICE, DEVICE@RUNTIME with a runtime's key or parts of it (host@int8), or any other
            address of a table, as the server's pages write it.
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
        IncompleteTable: one of them lacks an operator that a search in the space needs.
    """
    if (first.key, first.snapshot) == (second.key, second.snapshot):
        raise PhonebookError(
            f"both are the table of {first.key.address}; name two devices, or two runtimes of one "
            "as DEVICE@RUNTIME, or one of them as it was, as DEVICE@sha256:..."
        )
    for table in (first, second):
        table.latencies_us(space.searched_operators)  # raises where one lacks an operator
    found = comparison.compare(first, second, space.operators)
    if found.speed_ratio is None or found.kendall_tau is None or found.spearman is None:
        raise PhonebookError(
            f"fewer than {comparison.LEAST_RANKED} operators of {space.name} take time in both "
            f"{first.key.address} and {second.key.address}: too few to rank"
        )
    return ComparedTables(
        first=first.key.address,
        second=second.key.address,
        first_sources=first.sources,
        second_sources=second.sources,
        space=space.name,
        kendall_tau=found.kendall_tau,
        spearman=found.spearman,
        speed_ratio=found.speed_ratio,
        blocks=found.blocks,
        pairs=tuple(map(OperatorPair.of, found.by_shift)),
        without_ratio=tuple(operator.key for operator in found.without_ratio),
    )


def show(console: Console, found: ComparedTables, *, top: int) -> None:
    """The operators that differ most, then the figures over all of them."""
    for name, address, sources in (
        ("A", found.first, found.first_sources),
        ("B", found.second, found.second_sources),
    ):
        console.print(
            f"{name}: {address}" + (f" ({provenance('imported', sources)})" if sources else "")
        )
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
    if found.without_ratio:
        console.print(
            f"left out, as they take 0 us in one of them: {', '.join(found.without_ratio)}"
        )


if __name__ == "__main__":
    main(app)
