"""Devices: register, list, choose the default runtime."""

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session as DbSession

from contract.devices import DeviceDescription, DeviceName
from contract.problems import Problem
from contract.runtime import Runtime
from contract.sessions import Origin
from contract.tables import Device
from server.http.access import By, needs
from server.http.dependencies import Now, reads, writes
from server.store import devices

router = APIRouter(tags=["devices"], dependencies=[Depends(needs("reader"))])


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
    """Register a device (201), or refresh its description (200)."""
    stored, created = devices.register(session, device, description, by, now)
    response.status_code = 201 if created else 200
    return stored


@router.get("/devices")
@reads
def list_devices(session: DbSession, origin: Origin = "measured") -> list[Device]:
    """Every device with a summary of its tables of that origin."""
    return devices.devices(session, origin=origin)


@router.put(
    "/devices/{device}/default-runtime",
    responses={404: {"model": Problem}},
    dependencies=[Depends(needs("admin"))],
)
@writes
def set_default_runtime(
    device: str, runtime: Runtime, session: DbSession, by: By, now: Now
) -> Device:
    """Choose the table that is served when no runtime is asked for."""
    return devices.set_default_runtime(session, device, runtime, by, now)
