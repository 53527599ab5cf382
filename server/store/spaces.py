"""Search spaces that the server knows: those that ship with it, and those it learned.

A space never changes under its name, so that what was made of the known ones is kept.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property

from sqlalchemy import select
from sqlalchemy.orm import Session as DbSession

from contract.operators import Operator
from contract.problems import NO_SPACE
from contract.spaces import SPACE_NAMES, SearchSpace, SpaceSummary, space
from server.database.records import SpaceRecord
from server.database.upserts import insert_once
from server.errors import Conflict, NotFound, unknown
from server.roles import Caller
from server.store.deeds import note

_MOST_KEPT = 8  # sets of spaces: a process that serves one database has one, or two for a moment


class KnownSpaces:
    """Every space by name, and their operators by key."""

    def __init__(self, learned: Mapping[str, SearchSpace]) -> None:
        self._learned = learned
        self._keys: dict[str, tuple[str, ...]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Those that ship first."""
        return (*SPACE_NAMES, *self._learned)

    def find(self, name: str) -> SearchSpace:
        """The space of that name.

        Raises:
            NotFound: no such space; the message lists near names.
        """
        if name in self._learned:
            return self._learned[name]
        if name not in SPACE_NAMES:
            raise unknown("space", name, self.names, type=NO_SPACE)
        return space(name)

    def keys(self, name: str) -> tuple[str, ...]:
        """The key of every operator of a space that needs a row, in the space's order.

        Raises:
            NotFound: no such space.
        """
        if name not in self._keys:
            self._keys[name] = tuple(operator.key for operator in self.find(name).operators)
        return self._keys[name]

    def that_need(self, operators: Sequence[str]) -> tuple[str, ...]:
        """The spaces that need a row for any of these keys."""
        found = (name for key in operators for name in self._names_by_key.get(key, ()))
        return tuple(dict.fromkeys(found))

    def operator(self, key: str) -> Operator:
        """The operator with that key.

        Raises:
            NotFound: no space has it; the message lists near keys.
        """
        names = self._names_by_key.get(key)
        if names is None:
            close = get_close_matches(key, self._names_by_key, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else "a device's page lists all"
            raise NotFound(f"no operator {key!r}; {hint}", near=close)
        return next(each for each in self.find(names[0]).operators if each.key == key)

    @cached_property
    def _names_by_key(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.names:
            for key in self.keys(name):
                found.setdefault(key, []).append(name)
        return found


_kept: dict[tuple[tuple[str, str], ...], KnownSpaces] = {}


def known_spaces(session: DbSession) -> KnownSpaces:
    """The spaces that the server knows now."""
    listed = select(SpaceRecord.name, SpaceRecord.content_hash).order_by(SpaceRecord.name)
    contents = tuple((name, content) for name, content in session.execute(listed))
    known = _kept.get(contents)
    if known is None:
        documents = select(SpaceRecord.name, SpaceRecord.document).order_by(SpaceRecord.name)
        known = KnownSpaces(
            {
                name: SearchSpace.model_validate_json(document)
                for name, document in session.execute(documents)
            }
        )
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[contents] = known
    return known


def learn(
    session: DbSession, new: SearchSpace, by: Caller, now: datetime
) -> tuple[SpaceSummary, bool]:
    """Know a space from now on; True if the server did not know it before.

    Raises:
        Conflict: the name is that of a space which holds something else.
    """
    created = new.name not in SPACE_NAMES and insert_once(
        session,
        SpaceRecord,
        {
            "name": new.name,
            "content_hash": new.content_hash,
            "document": new.model_dump_json(),
            "learned_at": now,
            "made_by": by.name,
        },
    )
    if created:
        note(session, by, "told of the space", new.name, now)
    stored = summary(session, new.name)
    if stored.content_hash != new.content_hash:
        raise Conflict(
            f"the server knows another space by the name {new.name}, with the content "
            f"{stored.content_hash[:12]} and not {new.content_hash[:12]}; give this one a name of "
            "its own"
        )
    return stored, created


def summary(session: DbSession, name: str) -> SpaceSummary:
    """A space as it is listed.

    Raises:
        NotFound: no such space.
    """
    known = known_spaces(session).find(name)
    record = session.get(SpaceRecord, name)
    return SpaceSummary.of(known, learned_at=None if record is None else record.learned_at)


def summaries(session: DbSession) -> list[SpaceSummary]:
    """Every space that the server knows, those that ship first."""
    return [summary(session, name) for name in known_spaces(session).names]
