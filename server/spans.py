"""Spans of time as people write them on a command line."""

import re
from datetime import timedelta

from contract.errors import PhonebookError

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LONGEST = timedelta(days=36_500)


def span(option: str, words: str) -> timedelta:
    """`90d`, `12w` or `36h`, given with that option.

    Raises:
        PhonebookError: it is something else, or more than a hundred years.
    """
    found = re.fullmatch(r"([0-9]{1,6})([hdw])", words)
    length = found and int(found[1]) * _UNITS[found[2]]
    if length is None or length > _LONGEST:
        raise PhonebookError(
            f"{option}: {words!r} is no span of time; give days, weeks or hours, as 90d, 12w or "
            "36h"
        )
    return length
