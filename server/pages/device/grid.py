"""A table of a space as a person sees it: layer by block, with a word for every gap."""

from typing import Literal

from contract.estimates import Grade
from contract.operators import Operator
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from contract.values import Value
from server.pages.formatting import row_text, row_words, slot_words


class Cell(Value):
    """One operator, or the reason why there is no number.

    Only measured cells have a latency, a grade, and lines `about` how it was come by.
    """

    block: str
    operator: str
    state: Literal["measured", "missing", "failed", "free", "no candidate"]
    text: str
    latency_us: float | None = None
    grade: Grade | None = None
    about: tuple[str, ...] = ()


class Layer(Value):
    """A slot and its cells, one per block."""

    number: int
    slot: str
    shape: str
    cells: tuple[Cell, ...]


class Grid(Value):
    """The searchable layers; `ends` are the stem and the heads, which every network has."""

    blocks: tuple[str, ...]
    layers: tuple[Layer, ...]
    ends: tuple[Cell, ...]


def grid(table: LatencyTable, space: SearchSpace) -> Grid:
    """The table's rows laid out as the space's slots and blocks."""
    rows = {row.operator: row for row in table.entries}
    failed = {failure.operator for failure in table.failures}

    def cell(operator: Operator) -> Cell:
        block, key = operator.block.name, operator.key
        if operator.is_free:
            return Cell(block=block, operator=key, state="free", text="free")
        row = rows.get(key)
        if row is None:
            state: Literal["failed", "missing"] = "failed" if key in failed else "missing"
            return Cell(block=block, operator=key, state=state, text=state)
        return Cell(
            block=block,
            operator=key,
            state="measured",
            text=row_text(row),
            latency_us=row.latency_us,
            grade=row.grade,
            about=row_words(row),
        )

    layers = []
    for number, choice in enumerate(space.choices, start=1):
        slot = choice.slot
        candidates = {operator.block: operator for operator in choice.candidates}
        cells = tuple(
            cell(candidates[block])
            if block in candidates
            else Cell(block=block.name, operator="", state="no candidate", text="n/a")
            for block in space.blocks
        )
        layers.append(Layer(number=number, slot=slot.name, shape=slot_words(slot), cells=cells))
    return Grid(
        blocks=tuple(block.name for block in space.blocks),
        layers=tuple(layers),
        ends=tuple(cell(operator) for operator in (space.stem, *space.heads)),
    )
