"""Devices: register, list, choose the default runtime."""

from fastapi import APIRouter, Depends, Response

from contract.tables import Device
from contract.timings import DeviceDescription, DeviceName, Problem, Runtime
from server.access import needs
from server.db import ReadSession, WriteSession
from server.store import devices

router = APIRouter(tags=["devices"], dependencies=[Depends(needs("reader"))])


@router.put(
    "/devices/{device}",
    status_code=201,
    responses={200: {"model": Device}, 409: {"model": Problem}},
    dependencies=[Depends(needs("agent"))],
)
def register(
    device: DeviceName, description: DeviceDescription, response: Response, session: WriteSession
) -> Device:
    """Register a device (201), or refresh its description (200)."""
    stored, created = devices.register(session, device, description)
    response.status_code = 201 if created else 200
    return stored


@router.get("/devices")
def list_devices(session: ReadSession) -> list[Device]:
    """Every device with a summary of its tables."""
    return devices.devices(session)


@router.put(
    "/devices/{device}/default-runtime",
    responses={404: {"model": Problem}},
    dependencies=[Depends(needs("admin"))],
)
def set_default_runtime(device: str, runtime: Runtime, session: WriteSession) -> Device:
    """Choose the table that is served when no runtime is asked for."""
    return devices.set_default_runtime(session, device, runtime)
