"""Every router of the API."""

from server.api import (
    agents,
    audits,
    deeds,
    devices,
    health,
    imports,
    jobs,
    searches,
    sessions,
    spaces,
    tables,
)

ROUTERS = tuple(
    part.router
    for part in (
        *(devices, spaces, sessions, imports, audits, tables),
        *(jobs, agents, searches, deeds, health),
    )
)
