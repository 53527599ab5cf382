"""Which iPhones there are, and the one that a person means."""

from contextlib import closing, suppress
from typing import NamedTuple

from contract.errors import DeviceFailed, listing
from device_agent.devices.ios.app import App
from device_agent.devices.ios.errors import NotAttached, NoUsbmuxd
from device_agent.devices.ios.models import device_name
from device_agent.devices.ios.mux import Usbmuxd

GLANCE_S = 1.0  # for a phone that is merely asked what it is

_name_of: dict[str, str] = {}  # by UDID


class Attached(NamedTuple):
    """An iPhone on the cable: its name is None where its app does not say what it is."""

    udid: str
    name: str | None


def list_iphones() -> tuple[Attached, ...]:
    """Every iPhone on the cable. It is asked what it is once, not each time."""
    try:
        udids = [phone.udid for phone in Usbmuxd().phones()]
    except NoUsbmuxd:
        return ()
    for udid in udids:
        if udid not in _name_of:
            with (
                suppress(DeviceFailed),
                closing(App(udid, answer_limit_s=GLANCE_S)) as app,
            ):
                _name_of[udid] = device_name(app.info().model)
    return tuple(Attached(udid, _name_of.get(udid)) for udid in udids)


def choose(name: str, udid: str | None) -> str:
    """The UDID that is meant: that one, or the only phone's, or that of the only phone of that
    name.

    Raises:
        NoUsbmuxd: this computer cannot see iPhones.
        NotAttached: there is none, or several.
    """
    udids = tuple(phone.udid for phone in Usbmuxd().phones())
    if udid is not None:
        if udid in udids:
            return udid
        there = f"on the cable: {listing(udids)}" if udids else "none is on the cable"
        raise NotAttached(f"no iPhone {udid}; {there}")
    if not udids:
        raise NotAttached(
            f"{name}: no iPhone on the cable. Take a cable that carries data, unlock the phone "
            "and tap Trust"
        )
    if len(udids) == 1:
        return udids[0]
    namesakes = [phone.udid for phone in list_iphones() if phone.name == name]
    if len(namesakes) == 1:
        return namesakes[0]
    raise NotAttached(
        f"{len(namesakes)} of the {len(udids)} iPhones on cables ({listing(udids)}) say that they "
        f"are an {name}: open the app on each, or say which one with --serial"
    )
