"""usbmuxd, for tests: what the daemon says and does, with cables that are pulled on demand.

The phones' ports are ports of this computer. pymobiledevice3's own client talks to it.
"""

from tests.usbmux.daemon import Cabled, FakeUsbmuxd

__all__ = ["Cabled", "FakeUsbmuxd"]
