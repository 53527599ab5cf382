"""What can go wrong between this computer and an iPhone. Each says what to do next.

DeviceFailed
|-- NotAttached       no such iPhone on the cable, or several
|   `-- AnotherPhone  the one there is of another model than named
|-- AppUnfit          the app there is another than this agent needs, or refuses what it asks
|-- InUse             another agent has the app
|-- Stuck             the app does not end a job it was told to stop
|-- LowPower          low-power mode is on
|-- TooHot            iOS says that the phone is hot, or it did not cool in time
|-- StorageFull       no room for what was to be uploaded
|-- UploadDamaged     a program arrived with another hash, twice
|-- AnsweredNonsense  what answers is not the app, or breaks its protocol
`-- Away              the app was there and may be back; waited for, for a while
    |-- NoUsbmuxd     this computer has no usbmuxd, or it does not answer; on Linux it may end
    |                 when the last phone is unplugged
    |-- Unplugged     the phone is gone from the cable
    |-- AppNotRunning nothing listens on the app's port
    |-- HungUp        the app ends connections without an answer
    `-- Asleep        the app is there and does not answer, or says it sleeps
"""

from contract.errors import DeviceFailed
from device_agent.device_lock import DeviceInUse


class NotAttached(DeviceFailed):
    """No such iPhone on the cable, or several that could be meant."""


class AnotherPhone(NotAttached):
    """The iPhone there is of another model than the one that was named."""


class AppUnfit(DeviceFailed):
    """The app speaks another protocol, runs another ExecuTorch, or refuses what it is asked."""


class InUse(DeviceInUse):
    """Another agent has the app."""


class Stuck(DeviceFailed):
    """The app does not end a job that it was told to stop."""


class LowPower(DeviceFailed):
    """The phone saves power, which slows it down."""


class TooHot(DeviceFailed):
    """The phone is hotter than it may get, or did not cool in time."""


class StorageFull(DeviceFailed):
    """The phone has no room left."""


class UploadDamaged(DeviceFailed):
    """A program arrived with another hash than it was sent under."""


class AnsweredNonsense(DeviceFailed):
    """What answers is not the app, or breaks its protocol."""


class Away(DeviceFailed):
    """The app does not answer now, and may soon."""


class NoUsbmuxd(Away):
    """This computer has no usbmuxd, or it does not answer."""


class Unplugged(Away):
    """The phone is gone from the cable."""


class AppNotRunning(Away):
    """Nothing listens on the app's port."""


class HungUp(Away):
    """The app ends connections without an answer."""


class Asleep(Away):
    """The app does not answer in time, or says that it sleeps."""
