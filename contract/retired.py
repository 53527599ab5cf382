"""What no longer takes jobs: devices, and single units of others; their tables are kept."""

from pydantic import AwareDatetime

from contract.devices import DeviceName
from contract.jobs import UnitDescription
from contract.values import Value


class RetiredDevice(Value):
    """A device that takes no jobs, until somebody brings it back."""

    device: DeviceName
    retired_at: AwareDatetime


class RetiredUnit(UnitDescription):
    """A unit that gets no jobs, until somebody brings it back."""

    retired_at: AwareDatetime


class Retired(Value):
    """Everything that is retired."""

    devices: tuple[RetiredDevice, ...]
    units: tuple[RetiredUnit, ...]
