"""Which version the tables of a device have: what every reader of a table asks first."""

import asyncio
from collections.abc import Collection, Mapping

from sqlalchemy import Engine, select
from sqlalchemy.pool import PoolProxiedConnection

from server.database.engine import check_file
from server.database.records import DeviceRecord
from server.database.transactions import Database

Version = tuple[int, str | None]  # changes whenever a table of the device does

_SQL = {
    "sqlite": "SELECT name, revision, default_runtime FROM devices WHERE name IN ({})",
    "postgresql": "SELECT name, revision, default_runtime FROM devices WHERE name = ANY(%s)",
}


class Versions:
    """Answers all who have asked by one look at the database, which began after they did.

    For use in the event loop alone.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._look = _Look()
        self._names: set[str] = set()
        self._next: asyncio.Task[Mapping[str, Version]] | None = None
        self._current: asyncio.Task[Mapping[str, Version]] | None = None

    async def of(self, device: str) -> Version | None:
        """The device's version now; None where there is no such device."""
        if self._next is None:
            self._next = asyncio.create_task(self._look_after(self._current))
        self._names.add(device)
        found = await asyncio.shield(self._next)
        return found.get(device)

    async def _look_after(
        self, last: asyncio.Task[Mapping[str, Version]] | None
    ) -> Mapping[str, Version]:
        if last is not None and not last.done():
            await asyncio.wait([last])
        names, self._names = self._names, set()
        self._current, self._next = self._next, None
        return await self._database.glance(self._look, names)


class _Look:
    """The query, on a connection of its own to the driver: several times faster than through
    SQLAlchemy, by which it is asked again where the connection is gone."""

    def __init__(self) -> None:
        self._connection: PoolProxiedConnection | None = None

    def __call__(self, engine: Engine, names: Collection[str]) -> Mapping[str, Version]:
        check_file(engine)
        try:
            return self._ask(engine, list(names))
        except engine.dialect.loaded_dbapi.Error:
            if self._connection is not None:
                self._connection.invalidate()
            self._connection = None
            return _ask_anew(engine, names)

    def _ask(self, engine: Engine, names: list[str]) -> Mapping[str, Version]:
        connection = self._connection or _connect(engine)
        cursor = connection.cursor()
        if engine.dialect.name == "sqlite":
            cursor.execute(_SQL["sqlite"].format(",".join("?" * len(names))), names)
        else:
            cursor.execute(_SQL["postgresql"], [names])
        found = {name: (revision, default) for name, revision, default in cursor.fetchall()}
        cursor.close()
        self._connection = connection
        return found


def _connect(engine: Engine) -> PoolProxiedConnection:
    connection = engine.raw_connection()
    if engine.dialect.name == "postgresql":
        connection.driver_connection.autocommit = True  # type: ignore[union-attr]  # psycopg's
    return connection


def _ask_anew(engine: Engine, names: Collection[str]) -> Mapping[str, Version]:
    asked = select(DeviceRecord.name, DeviceRecord.revision, DeviceRecord.default_runtime).where(
        DeviceRecord.name.in_(names)
    )
    with engine.connect() as connection:
        return {name: (revision, default) for name, revision, default in connection.execute(asked)}
