"""Tokens: made, found by their digest, revoked. In clear their holders alone have them."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Engine, exists, select, update
from sqlalchemy.orm import Session

from contract.errors import PhonebookError, near
from server.roles import Role
from server.store.inserting import insert_once
from server.tables import TokenRecord

PREFIX = "pb_"  # by which a scanner of files for secrets knows one
SECRET_BYTES = 32
USE_IS_NOTED_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class LiveToken:
    """A token that works."""

    id: UUID
    name: str
    role: Role
    use_is_stale: bool  # it was last noted to be used some time ago, or never


@dataclass(frozen=True, slots=True)
class TokenReport:
    """All that is known of a token, but not itself."""

    name: str
    role: Role
    created_at: datetime
    last_used_at: datetime | None  # to the hour
    revoked_at: datetime | None


def create(session: Session, name: str, role: Role) -> str:
    """A new token of that name. A revoked name may be given again.

    Raises:
        PhonebookError: the name has a token that works.
    """
    token = _fresh()
    if _insert(session, name, role, token):
        return token
    if not _replace(session, name, role, token, TokenRecord.revoked_at.is_not(None)):
        raise PhonebookError(
            f"there is a token {name} already; give another --name, or revoke that one with "
            f"`python -m server.tokens revoke {name}`"
        )
    return token


def renew(session: Session, name: str, role: Role) -> str:
    """A new token of that name, instead of the one it may have."""
    token = _fresh()
    if not _insert(session, name, role, token):
        _replace(session, name, role, token)
    return token


def find_live(session: Session, token: str) -> LiveToken | None:
    """The token, if it is known and not revoked."""
    found = session.execute(
        select(TokenRecord.id, TokenRecord.name, TokenRecord.role, TokenRecord.last_used_at).where(
            TokenRecord.sha256 == _digest(token), TokenRecord.revoked_at.is_(None)
        )
    ).one_or_none()
    if found is None:
        return None
    id, name, role, used_at = found
    return LiveToken(
        id=id,
        name=name,
        role=role,
        use_is_stale=used_at is None or datetime.now(UTC) - used_at > USE_IS_NOTED_EVERY,
    )


def note_use(session: Session, id: UUID) -> None:
    """The token was used just now."""
    session.execute(
        update(TokenRecord).where(TokenRecord.id == id).values(last_used_at=datetime.now(UTC))
    )


def any_ever(engine: Engine) -> bool:
    """Whether a token was ever made: one that was revoked or has expired counts, too."""
    with engine.connect() as connection:
        return bool(connection.scalar(select(exists().select_from(TokenRecord))))


def any_live(session: Session) -> bool:
    """Whether there is a token that works."""
    found = session.scalar(select(exists().where(TokenRecord.revoked_at.is_(None))))
    return bool(found)


def revoke(session: Session, name: str) -> None:
    """Whoever holds the token is refused from the next request on. Revoking twice does no harm.

    Raises:
        PhonebookError: no such token.
    """
    record = session.scalar(select(TokenRecord).where(TokenRecord.name == name))
    if record is None:
        names = session.scalars(select(TokenRecord.name).order_by(TokenRecord.name)).all()
        raise PhonebookError(f"no token {name!r}; {near(name, names)}")
    record.revoked_at = record.revoked_at or datetime.now(UTC)


def reports(session: Session) -> list[TokenReport]:
    """Every token, by name, revoked ones too."""
    return [
        TokenReport(
            name=record.name,
            role=record.role,
            created_at=record.created_at,
            last_used_at=record.last_used_at,
            revoked_at=record.revoked_at,
        )
        for record in session.scalars(select(TokenRecord).order_by(TokenRecord.name))
    ]


def _fresh() -> str:
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _insert(session: Session, name: str, role: Role, token: str) -> bool:
    values = {"id": uuid4(), "name": name, **_content(role, token)}
    return insert_once(session, TokenRecord, values)


def _replace(
    session: Session, name: str, role: Role, token: str, *conditions: ColumnElement[bool]
) -> bool:
    statement = (
        update(TokenRecord)
        .where(TokenRecord.name == name, *conditions)
        .values(_content(role, token))
        .returning(TokenRecord.id)
    )
    return session.execute(statement).first() is not None


def _content(role: Role, token: str) -> dict[str, object]:
    return {
        "role": role,
        "sha256": _digest(token),
        "created_at": datetime.now(UTC),
        "last_used_at": None,
        "revoked_at": None,
    }
