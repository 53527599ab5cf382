"""The phone's side of ADB, for tests: what an adbd says and does, and its faults on demand.

It was held against Debian's own adb client and, where it mattered, against a real adbd.
"""

from tests.adbd.daemon import Adbd
from tests.adbd.phone import FakePhone, Faults

__all__ = ["Adbd", "FakePhone", "Faults"]
