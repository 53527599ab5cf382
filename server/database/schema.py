"""The schema's version: which one a database has, and how it gets the newest."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Engine
from sqlalchemy.exc import DBAPIError

from contract import commands
from contract.errors import PhonebookError
from server.database.engine import migrating, shown

log = logging.getLogger(__name__)


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to that revision of the schema, all or nothing.

    An SQLite file that was not there is made, and named to a person: in another folder it is
    another database.
    """
    is_new = _is_missing(engine.url)
    with migrating(engine) as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    if is_new:
        log.warning("%s is new and empty", shown(engine.url))


def is_at_head(engine: Engine) -> bool:
    """Whether the database has exactly the schema that this code was written for."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    with engine.execution_options(reads_only=True).connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == head


def alembic_config() -> Config:
    """Alembic's configuration, wherever this package is installed."""
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    return config


def prepare(engine: Engine) -> None:
    """Make the database ready to serve: a file of our own is upgraded, a server's is not.

    Raises:
        PhonebookError: it cannot be opened, or has another schema; the message tells the way out.
    """
    if engine.dialect.name == "sqlite":
        with explained(engine):
            upgrade(engine)
    else:
        require_head(engine)


def require_head(engine: Engine) -> None:
    """Refuse a database that this version cannot work with as it is.

    Raises:
        PhonebookError: it cannot be opened, or has another schema; the message tells the way out.
    """
    with explained(engine):
        require_file(engine.url)
        if not is_at_head(engine):
            raise PhonebookError(
                f"{shown(engine.url)} has another schema than this version of Phonebook; "
                f"run `{commands.upgrade_schema()}` with the same database"
            )


def require_file(url: URL) -> None:
    """Refuse an SQLite file that is not there: to open it would make an empty one.

    Raises:
        PhonebookError: it is not there.
    """
    if _is_missing(url):
        raise PhonebookError(
            f"there is no database {shown(url)}; name it with --database-url or "
            "PHONEBOOK_DATABASE_URL"
        )


def _is_missing(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """Say in one line why a database cannot be used.

    Raises:
        PhonebookError: instead of what SQLAlchemy and alembic raise.
    """
    try:
        yield
    except DBAPIError as error:
        reason = str(error.orig).strip()
        raise PhonebookError(f"cannot use {shown(engine.url)}: {reason}") from error
    except CommandError as error:  # a revision that this version does not know
        raise PhonebookError(
            f"{shown(engine.url)} was made by another version of Phonebook: {error}"
        ) from error
