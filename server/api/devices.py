"""Devices: register, list, choose the default runtime, rename; retire them or units of them."""

from typing import Any

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session as DbSession

from contract.deeds import Reason
from contract.devices import DeviceDescription, DeviceName, NewName
from contract.problems import Problem
from contract.retired import Retired
from contract.runtime import Runtime
from contract.sessions import Origin
from contract.tables import Device
from server.http.access import By, needs
from server.http.dependencies import Now, reads, writes
from server.store import devices, renames, retirements

router = APIRouter(tags=["devices"], dependencies=[Depends(needs("reader"))])
ADMIN = [Depends(needs("admin"))]
MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem}}


@router.put(
    "/devices/{device}",
    status_code=201,
    responses={200: {"model": Device}, 409: {"model": Problem}},
    dependencies=[Depends(needs("agent"))],
)
@writes
def register(
    device: DeviceName,
    description: DeviceDescription,
    response: Response,
    session: DbSession,
    by: By,
    now: Now,
) -> Device:
    """Register a device (201), or refresh its description (200).

    Under a former name it is answered as what it is called now.
    """
    stored, created = devices.register(session, device, description, by, now)
    response.status_code = 201 if created else 200
    return stored


@router.get("/devices")
@reads
def list_devices(session: DbSession, origin: Origin = "measured") -> list[Device]:
    """Every device with a summary of its tables of that origin; retired ones come last."""
    return devices.devices(session, origin=origin)


@router.put(
    "/devices/{device}/default-runtime",
    responses=MISSING,
    dependencies=ADMIN,
)
@writes
def set_default_runtime(
    device: str, runtime: Runtime, session: DbSession, by: By, now: Now
) -> Device:
    """Choose the table that is served when no runtime is asked for."""
    return devices.set_default_runtime(session, device, runtime, by, now)


@router.put(
    "/devices/{device}/name",
    responses={**MISSING, 409: {"model": Problem}},
    dependencies=ADMIN,
)
@writes
def rename(device: str, new: NewName, session: DbSession, by: By, now: Now) -> Device:
    """Call the device otherwise: all that is its goes with it, and the old name leads to it."""
    return renames.rename(session, device, new, by, now)


@router.get("/retired")
@reads
def list_retired(session: DbSession) -> Retired:
    """The devices and units that take no jobs."""
    return retirements.retired(session)


@router.post("/devices/{device}/retire", responses=MISSING, dependencies=ADMIN)
@writes
def retire(device: str, why: Reason, session: DbSession, by: By, now: Now) -> Retired:
    """Let the device take no jobs, and cancel those that have not ended; its tables stay."""
    return retirements.retire_device(session, device, why.reason, by, now)


@router.post("/devices/{device}/bring-back", responses=MISSING, dependencies=ADMIN)
@writes
def bring_back(device: str, why: Reason, session: DbSession, by: By, now: Now) -> Retired:
    """Let a retired device take jobs again."""
    return retirements.bring_back_device(session, device, why.reason, by, now)


@router.post("/devices/{device}/units/{serial}/retire", responses=MISSING, dependencies=ADMIN)
@writes
def retire_unit(
    device: str, serial: str, why: Reason, session: DbSession, by: By, now: Now
) -> Retired:
    """Give one unit of a device no further jobs."""
    return retirements.retire_unit(session, device, serial, why.reason, by, now)


@router.post("/devices/{device}/units/{serial}/bring-back", responses=MISSING, dependencies=ADMIN)
@writes
def bring_back_unit(
    device: str, serial: str, why: Reason, session: DbSession, by: By, now: Now
) -> Retired:
    """Let a retired unit get jobs again."""
    return retirements.bring_back_unit(session, device, serial, why.reason, by, now)
