"""Who may use the server, and who did what."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from contract.deeds import What
from server.database.records.base import Base
from server.roles import Role


class TokenRecord(Base):
    """Somebody's right to use the server: the digest of the token, never the token itself."""

    __tablename__ = "tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[Role] = mapped_column(String(20))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]  # to the hour
    revoked_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


class SignInRecord(Base):
    """A browser that has shown a token: the digest of its cookie. It can do what the token can."""

    __tablename__ = "sign_ins"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    token: Mapped[UUID] = mapped_column(ForeignKey("tokens.id"))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class DeedRecord(Base):
    """The log of who did what: whatever was made, and what admins did to it.

    `who` is a token's name, null for somebody at the server's computer without one.
    """

    __tablename__ = "deeds"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    who: Mapped[str | None] = mapped_column(String(64))
    what: Mapped[What] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(100), index=True)
    detail: Mapped[str | None] = mapped_column(Text)
