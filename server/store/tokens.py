"""Tokens: made, found by their digest, revoked. In clear their holders alone have them."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    delete,
    exists,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from contract import commands
from contract.errors import PhonebookError, near
from server.database.records import SignInRecord, TokenRecord
from server.database.upserts import insert_once
from server.errors import Unauthenticated
from server.roles import NOBODY, Role
from server.store.deeds import note

PREFIX = "pb_"  # by which a scanner of files for secrets knows one
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever has a token that was not revoked."""

    id: UUID
    name: str
    role: Role
    last_used_at: datetime | None  # as it was noted
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenReport:
    """All that is known of a token, but not itself."""

    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None  # to the hour
    revoked_at: datetime | None


def create(
    session: Session, name: str, role: Role, now: datetime, *, lasts: timedelta | None = None
) -> str:
    """A new token of that name, for a while or for good. The name of one that works no more may
    be given again.

    Raises:
        PhonebookError: the name has a token that works.
    """
    token = fresh_secret(PREFIX)
    content = _content(role, token, now, lasts)
    ended = or_(TokenRecord.revoked_at.is_not(None), TokenRecord.expires_at <= now)
    if not (_insert(session, name, content) or _replace(session, name, content, ended)):
        raise PhonebookError(
            f"there is a token {name} already; give another --name, or revoke that one with "
            f"`{commands.revoke_token(name)}`"
        )
    note(session, NOBODY, "made the token", name, now, detail=role)
    return token


def renew(session: Session, name: str, role: Role, now: datetime) -> str:
    """A new token of that name, instead of the one it may have."""
    token = fresh_secret(PREFIX)
    content = _content(role, token, now, None)
    if not _insert(session, name, content):
        _replace(session, name, content)
    note(session, NOBODY, "made the token", name, now, detail=role)
    return token


def find(connection: Connection, token: str) -> Holder | None:
    """Whoever has the token, if it is known and not revoked."""
    return one_holder(connection, holders().where(TokenRecord.sha256 == digest(token)))


def check(found: Holder | None, now: datetime) -> Holder:
    """Whoever has a token that works.

    Raises:
        Unauthenticated: it does not, and why.
    """
    if found is None:
        raise Unauthenticated(
            "this token is unknown or revoked; "
            f"`{commands.create_token(role='ROLE')}` makes another"
        )
    if found.expires_at is not None and found.expires_at <= now:
        raise Unauthenticated(
            f"token {found.name} has expired, at {found.expires_at:%Y-%m-%d %H:%M} UTC; the "
            "server's keeper makes another of that name, which goes on with all that this one "
            "made: "
            f"`{commands.create_token(name=found.name, role=found.role, expires='90d')}`"
        )
    return found


def note_use(session: Session, id: UUID, now: datetime) -> None:
    """The token was used just now."""
    session.execute(update(TokenRecord).where(TokenRecord.id == id).values(last_used_at=now))


def any_ever(engine: Engine) -> bool:
    """Whether a token was ever made: one that was revoked or has expired counts, too."""
    with engine.connect() as connection:
        return bool(connection.scalar(select(exists().select_from(TokenRecord))))


def any_live(session: Session, now: datetime) -> bool:
    """Whether there is a token that works."""
    lasts = or_(TokenRecord.expires_at.is_(None), TokenRecord.expires_at > now)
    return bool(session.scalar(select(exists().where(TokenRecord.revoked_at.is_(None), lasts))))


def revoke(session: Session, name: str, now: datetime) -> None:
    """Whoever holds the token is refused from the next request on. Revoking twice does no harm.

    Raises:
        PhonebookError: no such token.
    """
    record = session.scalar(select(TokenRecord).where(TokenRecord.name == name))
    if record is None:
        names = session.scalars(select(TokenRecord.name).order_by(TokenRecord.name)).all()
        raise PhonebookError(f"no token {name!r}; {near(name, names)}")
    if record.revoked_at is None:
        record.revoked_at = now
        note(session, NOBODY, "revoked the token", name, now)


def revoke_all(session: Session, now: datetime) -> int:
    """Refuse every token from now on, in a database of whatever version: how many were not yet."""
    revoked = session.scalars(
        update(TokenRecord)
        .where(TokenRecord.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(TokenRecord.name)
    )
    return len(revoked.all())


def reports(session: Session) -> list[TokenReport]:
    """Every token, by name, also those that work no more."""
    return [
        TokenReport(
            name=record.name,
            role=record.role,
            created_at=record.created_at,
            expires_at=record.expires_at,
            last_used_at=record.last_used_at,
            revoked_at=record.revoked_at,
        )
        for record in session.scalars(select(TokenRecord).order_by(TokenRecord.name))
    ]


def holders() -> Select[UUID, str, Role, datetime | None, datetime | None]:
    """The holders of tokens that were not revoked, for a query."""
    return select(
        TokenRecord.id,
        TokenRecord.name,
        TokenRecord.role,
        TokenRecord.last_used_at,
        TokenRecord.expires_at,
    ).where(TokenRecord.revoked_at.is_(None))


def one_holder(
    connection: Connection, query: Select[UUID, str, Role, datetime | None, datetime | None]
) -> Holder | None:
    """The one that a query of `holders` finds."""
    found = connection.execute(query).one_or_none()
    return None if found is None else Holder(*found)


def fresh_secret(prefix: str = "") -> str:
    """256 random bits, as text."""
    return prefix + secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> str:
    """What is kept of a secret: what has 256 random bits needs no slow hash."""
    return sha256(secret.encode()).hexdigest()


def _insert(session: Session, name: str, content: dict[str, object]) -> bool:
    return insert_once(session, TokenRecord, {"id": uuid4(), "name": name, **content})


def _replace(
    session: Session, name: str, content: dict[str, object], *conditions: ColumnElement[bool]
) -> bool:
    """Put it in the place of the name's token, if that is so: who signed in with it is out."""
    replaced = session.scalar(
        update(TokenRecord)
        .where(TokenRecord.name == name, *conditions)
        .values(content)
        .returning(TokenRecord.id)
    )
    if replaced is None:
        return False
    session.execute(delete(SignInRecord).where(SignInRecord.token == replaced))
    return True


def _content(role: Role, token: str, now: datetime, lasts: timedelta | None) -> dict[str, object]:
    return {
        "role": role,
        "sha256": digest(token),
        "created_at": now,
        "expires_at": None if lasts is None else now + lasts,
        "last_used_at": None,
        "revoked_at": None,
    }
