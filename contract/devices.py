"""What a device is, and its state around a session."""

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, NonNegativeFloat, PositiveFloat, StringConstraints

from contract.errors import PhonebookError
from contract.values import Value

DEVICE_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
DeviceName = Annotated[str, StringConstraints(pattern=DEVICE_NAME)]
Serial = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$")]
Thermal = Literal["nominal", "fair", "serious", "critical"]  # iOS's words; it tells no degrees
THERMAL: tuple[Thermal, ...] = get_args(Thermal)  # from cool to hot


def check_name(name: str, *, given_as: str) -> str:
    """The name, if a device can have it. `given_as` is what a person wrote it after.

    Raises:
        PhonebookError: it cannot.
    """
    if not re.fullmatch(DEVICE_NAME, name):
        raise PhonebookError(
            f"{given_as} {name!r} cannot name a device; use at most 64 small letters, digits, "
            "dots, dashes and underscores, a letter or digit first"
        )
    return name


class DeviceDescription(Value):
    """What a device is. `model` and `soc` identify it; the rest may change between sessions."""

    model: str = Field(min_length=1, max_length=200)
    soc: str = Field(min_length=1, max_length=200)  # the CPU's model name on a computer
    cores: int = Field(ge=1, le=65_536)
    memory_bytes: int = Field(ge=1, lt=2**63)
    os: str = Field(min_length=1, max_length=200)


class NewName(Value):
    """What a device is to be called from now on, and why."""

    name: DeviceName
    reason: str = Field(min_length=1, max_length=1000)


class Patience(Value):
    """What a session was told to wait for: others' programs, and a phone's battery to cool. It is
    warm from `cool_c` on, and never measured from `hot_c` on."""

    others_s: NonNegativeFloat
    cooling_s: NonNegativeFloat
    cool_c: float
    hot_c: float


class Conditions(Value):
    """The device's state before or after a session; None where it cannot be read.

    Clock, limit and governor are those of the CPUs that the runner may use. Computers tell the
    first three alone.
    """

    load_1min: NonNegativeFloat | None
    clock_mhz: PositiveFloat | None
    temperature_c: float | None  # of the hottest sensor
    clock_limit_mhz: PositiveFloat | None = None  # how far the clock may rise now
    governor: str | None = Field(default=None, max_length=200)
    battery: float | None = Field(default=None, ge=0, le=1)
    battery_c: float | None = None
    is_charging: bool | None = None
    is_awake: bool | None = None  # the screen is on
    # Of iPhones alone; others leave the fields out, as before they existed.
    thermal: Thermal | None = Field(default=None, exclude_if=lambda word: word is None)
    low_power: bool | None = Field(default=None, exclude_if=lambda mode: mode is None)
    # Of a session that was told to wait otherwise than usual, before it alone.
    patience: Patience | None = Field(default=None, exclude_if=lambda it: it is None)
