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
    tables,
)

ROUTERS = tuple(
    part.router
    for part in (devices, sessions, imports, audits, tables, jobs, agents, searches, deeds, health)
)
