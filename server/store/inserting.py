"""INSERT with ON CONFLICT, which SQLite and PostgreSQL write alike and SQLAlchemy apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from server.tables import Base, CurrentOperator


def insert_once(session: Session, record: type[Base], values: Mapping[str, Any]) -> bool:
    """Insert unless a row with the same key is there; True if it was inserted.

    Of several requests at once exactly one inserts, and the others then see its row.
    """
    statement = _insert(session, record).values(values).on_conflict_do_nothing()
    first_key = inspect(record).primary_key[0]
    return session.execute(statement.returning(first_key)).first() is not None


def keep_newest(
    session: Session, record: type[CurrentOperator], values: Mapping[str, Any]
) -> bool:
    """Insert, or replace the operator's row unless that one was measured later.

    True if the operator now has these values.
    """
    key = [column.name for column in inspect(record).primary_key]
    statement = _insert(session, record).values(values)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=key,
        set_={name: new[name] for name in values if name not in key},
        where=record.measured_at <= new.measured_at,
    )
    return session.execute(statement.returning(record.operator)).first() is not None


def insert_or_set(
    session: Session, record: type[Base], values: Mapping[str, Any], *, fields: Sequence[str]
) -> None:
    """Insert, or set those fields of the row with the same key.

    Either way nobody else can change the row until the transaction ends.
    """
    key = [column.name for column in inspect(record).primary_key]
    statement = _insert(session, record).values(values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=key, set_={field: statement.excluded[field] for field in fields}
        )
    )


def _insert(session: Session, record: type[Base]) -> postgresql.Insert | sqlite.Insert:
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(record)
    return postgresql.insert(record)
