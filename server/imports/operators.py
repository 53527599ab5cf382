"""Operators by the key or the shapes that a file names."""

from collections.abc import Mapping
from functools import cache

from pydantic import ValidationError

from contract.operators import Operator
from contract.slots import Slot
from contract.spaces import SPACE_NAMES, space


class Unmapped(ValueError):
    """A row that names no operator of ours; the message says why."""


@cache
def keys_of(name: str) -> tuple[str, ...]:
    """The key of every operator of a space that needs a row, in the space's order."""
    return tuple(operator.key for operator in space(name).operators)


@cache
def operators_by_key() -> dict[str, Operator]:
    """Every operator that some space needs a row for."""
    return {operator.key: operator for name in SPACE_NAMES for operator in space(name).operators}


def known(block: Mapping[str, object], slot: Slot) -> Operator:
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
    return operator_named(operator.key)


def operator_named(key: str) -> Operator:
    """The operator of that key.

    Raises:
        Unmapped: no space has it.
    """
    found = operators_by_key().get(key)
    if found is None:
        raise Unmapped(f"no space has an operator {key}")
    return found
