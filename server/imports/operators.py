"""Operators by the key or the shapes that a file names."""

from collections.abc import Mapping
from functools import cache, cached_property

from pydantic import ValidationError

from contract.operators import Operator
from contract.slots import Slot
from contract.spaces import SPACE_NAMES, SearchSpace, space


class Unmapped(ValueError):
    """A row that names no operator of ours; the message says why."""


class Vocabulary:
    """The spaces whose operators a file may name."""

    def __init__(self, *spaces: SearchSpace) -> None:
        self.spaces = spaces
        self._keys = {each.name: tuple(op.key for op in each.operators) for each in spaces}

    @cached_property
    def operators(self) -> dict[str, Operator]:
        """Every operator that some space needs a row for, by its key."""
        return {operator.key: operator for each in self.spaces for operator in each.operators}

    def keys_of(self, name: str) -> tuple[str, ...]:
        """The key of every operator of a space that needs a row, in the space's order."""
        return self._keys[name]

    def by_rows(self, rows: list[frozenset[str]]) -> list[SearchSpace]:
        """The spaces, first those that have an operator for most of the rows, of which each may
        be one of several, by their keys."""
        keys = {name: frozenset(its) for name, its in self._keys.items()}
        return sorted(
            self.spaces, key=lambda each: -sum(bool(keys[each.name] & row) for row in rows)
        )

    def known(self, block: Mapping[str, object], slot: Slot) -> Operator:
        """The operator of a block, given by its fields, in a slot.

        Raises:
            Unmapped: there is no such block, or no space has it in that slot.
        """
        try:
            operator = Operator.model_validate({"block": block, "slot": slot.model_dump()})
        except ValidationError as error:
            first = error.errors()[0]
            field = first["loc"][-1] if first["loc"] else "block"
            raise Unmapped(f"no block of ours: {field}: {first['msg']}") from error
        return self.named(operator.key)

    def named(self, key: str) -> Operator:
        """The operator of that key.

        Raises:
            Unmapped: no space has it.
        """
        found = self.operators.get(key)
        if found is None:
            raise Unmapped(f"no space has an operator {key}")
        return found


@cache
def shipped() -> Vocabulary:
    """All spaces that ship with Phonebook."""
    return Vocabulary(*map(space, SPACE_NAMES))
