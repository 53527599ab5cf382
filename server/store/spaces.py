"""Search spaces as the store meets them: names from a URL, and the keys behind them."""

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache, lru_cache

from contract.operators import Operator
from contract.spaces import SPACE_NAMES, SearchSpace, space
from server.errors import NotFound, unknown


def find_space(name: str) -> SearchSpace:
    """The space of that name.

    Raises:
        NotFound: no such space; the message lists near names.
    """
    if name not in SPACE_NAMES:
        raise unknown("space", name, SPACE_NAMES)
    return space(name)


@lru_cache
def operator_keys(name: str) -> tuple[str, ...]:
    """The key of every operator of a space that needs a row, in the space's order."""
    return tuple(operator.key for operator in space(name).operators)


def spaces_of(operators: Sequence[str]) -> tuple[str, ...]:
    """The spaces that need a row for any of these keys."""
    return tuple(dict.fromkeys(name for key in operators for name in _spaces().get(key, ())))


def find_operator(key: str) -> Operator:
    """The operator with that key.

    Raises:
        NotFound: no space has it; the message lists near keys.
    """
    known = _operators()
    if key not in known:
        close = get_close_matches(key, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else "a device's page lists all"
        raise NotFound(f"no operator {key!r}; {hint}", near=close)
    return known[key]


@cache
def _operators() -> dict[str, Operator]:
    """Every operator that needs a row, by key."""
    return {operator.key: operator for name in SPACE_NAMES for operator in space(name).operators}


@cache
def _spaces() -> dict[str, list[str]]:
    """The spaces of each operator's key."""
    spaces: dict[str, list[str]] = {}
    for name in SPACE_NAMES:
        for key in operator_keys(name):
            spaces.setdefault(key, []).append(name)
    return spaces
