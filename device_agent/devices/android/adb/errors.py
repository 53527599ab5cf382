"""What can go wrong between this computer and a phone. Each says what to do next.

DeviceFailed
|-- PhoneNotFound     no such phone on the cable or at the address
|   |-- AnotherPhone  the phone there is of another model, or another one of its model
|   |-- NotInNetwork  nothing answers at that address of the network
|   `-- WirelessDebugging  what answers there is encrypted, as Android 11 has it
|-- Claimed           another agent has the phone
|-- KeyNotAccepted    the phone does not trust this computer
|-- PhoneLost         it was there, and is gone
|-- CommandTimedOut   it did not answer within the command's limit; the command was killed
|-- CommandFailed     a command that must work did not
|   `-- NoShell       no command can be run there at all
`-- StorageFull       no room for what was to be pushed
"""

from contract.errors import DeviceFailed
from device_agent.device_lock import DeviceInUse


class PhoneNotFound(DeviceFailed):
    """No such phone on the cable or at the address."""


class AnotherPhone(PhoneNotFound):
    """The phone there is another than the one that was named."""


class NotInNetwork(PhoneNotFound):
    """Nothing answers at that address of the network."""


class WirelessDebugging(PhoneNotFound):
    """What answers at that address speaks TLS alone."""


class Claimed(DeviceInUse):
    """Another agent has the phone, of this computer or of another."""


class KeyNotAccepted(DeviceFailed):
    """The phone does not trust this computer's key."""


class PhoneLost(DeviceFailed):
    """The connection ended: a pulled cable, a restart, a revoked permission."""


class CommandTimedOut(DeviceFailed):
    """A command took longer than its limit."""


class CommandFailed(DeviceFailed):
    """A command that must work did not."""


class NoShell(CommandFailed):
    """The phone's shell does not start."""


class StorageFull(DeviceFailed):
    """The phone has no room left."""
