"""iPhones as a kind of device."""

from contract.devices import Serial
from contract.errors import PhonebookError
from contract.runtime import RuntimeRequest
from device_agent.device import DeviceKind, Found
from device_agent.devices.ios.attached import choose, list_iphones
from device_agent.devices.ios.errors import (
    AnotherPhone,
    AnsweredNonsense,
    AppNotRunning,
    AppUnfit,
    Asleep,
    HungUp,
    InUse,
    LowPower,
    NotAttached,
    NoUsbmuxd,
    StorageFull,
    Stuck,
    TooHot,
    Unplugged,
    UploadDamaged,
)
from device_agent.devices.ios.models import is_apples
from device_agent.devices.ios.phone import IPhone


def must_be_possible(request: RuntimeRequest) -> None:
    if request.runner not in (None, "native"):
        raise PhonebookError(f"an iPhone has no {request.runner} runner; leave out --runner")
    if request.cpus:
        raise PhonebookError("iOS lets no program choose its cores; leave out --cpus")


def find_serials(name: str) -> tuple[Serial, ...]:
    """The UDIDs of the iPhones of that name on cables now, as far as their app answered once."""
    return tuple(phone.udid for phone in list_iphones() if phone.name == name)


def list_attached() -> tuple[Found, ...]:
    """Every iPhone on the cable."""
    return tuple(Found(phone.udid, phone.name) for phone in list_iphones())


IOS = DeviceKind(
    example="iphonex",
    claims=is_apples,
    must_be_possible=must_be_possible,
    choose=choose,
    open=IPhone,
    list_attached=list_attached,
    find_serials=find_serials,
    lock_name=lambda serial: serial,
    mishaps={
        NoUsbmuxd: ("usbmuxd", "no answer"),
        NotAttached: ("cable", "not that iPhone"),
        AnotherPhone: ("phone", "another one than named"),
        Unplugged: ("cable", "it was unplugged"),
        AppNotRunning: ("app", "does not run"),
        HungUp: ("app", "no answer"),
        Asleep: ("app", "no answer"),
        AnsweredNonsense: ("app", "something else answers"),
        AppUnfit: ("app", "not what this agent needs"),
        InUse: ("app", "in use"),
        Stuck: ("app", "does not end a job"),
        LowPower: ("power", "low-power mode is on"),
        TooHot: ("heat", "too hot"),
        StorageFull: ("storage", "full"),
        UploadDamaged: ("cable", "damages what is sent"),
    },
)
