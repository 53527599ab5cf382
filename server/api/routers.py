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
    visits,
)

ROUTERS = tuple(
    part.router
    for part in (
        *(devices, spaces, sessions, visits, imports, audits, tables),
        *(jobs, agents, searches, deeds, health),
    )
)
