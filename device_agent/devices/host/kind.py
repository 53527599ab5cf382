"""This computer as a kind of device: there is one of it."""

from contract.devices import Serial
from contract.errors import PhonebookError
from contract.runtime import RuntimeRequest
from device_agent.device import DeviceKind, Found
from device_agent.devices.host.computer import Host, host_serial

NAME = "host"


def _must_be_possible(request: RuntimeRequest) -> None:
    if request.runner == "ndk":
        raise PhonebookError("--runner ndk: this computer runs nothing that the Android NDK built")


def _choose(name: str, serial: Serial | None) -> Serial:
    if serial not in (None, host_serial()):
        raise PhonebookError(
            f"--serial {serial}: this computer is {host_serial()}, and the only host"
        )
    return host_serial()


HOST = DeviceKind(
    example=NAME,
    is_this_computer=True,
    claims=lambda name: name == NAME,
    must_be_possible=_must_be_possible,
    choose=_choose,
    open=lambda name, serial, request, patience: Host(request),
    list_attached=lambda: (Found(host_serial(), NAME),),
    find_serials=lambda name: (host_serial(),),
    lock_name=lambda serial: NAME,
    mishaps={},
)
