"""INSERT with ON CONFLICT, which SQLite and PostgreSQL write alike and SQLAlchemy apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from server.database.records import Base, CurrentOperator


def insert_once(session: Session, record: type[Base], values: Mapping[str, Any]) -> bool:
    """Insert unless a row with the same key is there; True if it was inserted.

    Of several requests at once exactly one inserts, and the others then see its row.
    """
    statement = _insert(session, record).values(values).on_conflict_do_nothing()
    first_key = inspect(record).primary_key[0]
    return session.execute(statement.returning(first_key)).first() is not None


def insert_many(
    session: Session, record: type[Base], rows: Sequence[Mapping[str, Any]]
) -> set[Any]:
    """Insert those rows that break no constraint: the keys (the first column) of these."""
    if not rows:
        return set()
    first_key = inspect(record).primary_key[0]
    statement = _insert(session, record).on_conflict_do_nothing().returning(first_key)
    return set(session.connection().execute(statement, list(rows)).scalars())


def keep_newest(
    session: Session, record: type[CurrentOperator], rows: Sequence[Mapping[str, Any]]
) -> set[str]:
    """Insert, or replace the operators' rows unless those were measured later.

    The operators that have these values now.
    """
    key = [column.name for column in inspect(record).primary_key]
    inserted = _insert(session, record)
    new = inserted.excluded
    statement = inserted.on_conflict_do_update(
        index_elements=key,
        set_={name: new[name] for name in rows[0] if name not in key},
        where=record.measured_at <= new.measured_at,
    ).returning(record.operator)
    return set(session.connection().execute(statement, list(rows)).scalars())


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
    table = record.__table__
    assert isinstance(table, Table)
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)
