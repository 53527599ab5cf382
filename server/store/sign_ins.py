"""Sign-ins: browsers that have shown a token and are known by a secret in their cookie since."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete
from sqlalchemy.orm import Session

from server.database.records import SignInRecord, TokenRecord
from server.store.tokens import Holder, check, digest, fresh_secret, holders, one_holder

LASTS = timedelta(days=30)


def sign_in(session: Session, token: str, now: datetime) -> tuple[str, datetime]:
    """A new secret for whoever shows that token, and until when it works.

    Raises:
        Unauthenticated: the token does not work.
    """
    # Who replaces the token waits for this sign-in, so as to end it too.
    query = holders().where(TokenRecord.sha256 == digest(token)).with_for_update(read=True)
    holder = check(one_holder(session.connection(), query), now)
    secret, end = fresh_secret(), now + LASTS
    if holder.expires_at is not None:
        end = min(end, holder.expires_at)
    session.execute(delete(SignInRecord).where(SignInRecord.expires_at <= now))
    session.add(SignInRecord(sha256=digest(secret), token=holder.id, expires_at=end))
    return secret, end


def find(connection: Connection, secret: str, now: datetime) -> Holder | None:
    """Whoever has signed in with that secret since; None once that or the token has ended."""
    query = (
        holders()
        .join(SignInRecord, SignInRecord.token == TokenRecord.id)
        .where(SignInRecord.sha256 == digest(secret), SignInRecord.expires_at > now)
    )
    return one_holder(connection, query)


def sign_out(session: Session, secret: str) -> None:
    """The secret works no more."""
    session.execute(delete(SignInRecord).where(SignInRecord.sha256 == digest(secret)))
