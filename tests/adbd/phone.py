"""What the daemon serves: a folder for a file system, a shell in it, and faults."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

STORAGE = "/data/local/tmp"
# What a command may name of the phone's file system; all else is this computer's.
_OURS = re.compile(
    r"(?<![\w./])/(?=(data|sys)/|proc/(cpuinfo|meminfo|loadavg|stat|uptime|self/status|sys/kernel/random/boot_id)\b)"
)


@dataclass
class Faults:
    """Each may be switched on while the daemon runs."""

    hang_up_after: int | None = None  # bytes sent from now on; then the connection is cut
    refuse_connections: bool = False  # the phone is away
    storage_full: bool = False
    wants_tls: bool = False  # as the port of Android 11's wireless debugging
    has_no_shell: bool = False


@dataclass
class FakePhone:
    """A phone under `root`. With `emulator`, its shell runs by it, as `proot -r ROOT`; without,
    this computer's shell does, and paths of the phone in commands lead under `root`."""

    root: Path
    model: str = "SM-G950F"
    features: str = "cmd,stat_v2,shell_v2"
    version: int = 0x01000001  # before that, packets carry checksums
    most: int = 1 << 20  # bytes in a packet
    needs_key: bool = False
    accepts_keys: bool = True  # a person taps "allow"
    emulator: Sequence[str] = ()
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.root = self.root.absolute()
        (self.root / STORAGE[1:]).mkdir(parents=True, exist_ok=True)

    @property
    def banner(self) -> bytes:
        return (
            f"device::ro.product.name=dreamltexx;ro.product.model={self.model};"
            f"ro.product.device=dreamlte;features={self.features}"
        ).encode()

    def local(self, path: str) -> Path:
        return Path(f"{self.root}{os.path.normpath(f'/{path}')}")

    def shell(self, command: str) -> list[str]:
        if self.faults.has_no_shell:
            return ["/bin/sh", "-c", "echo '/system/bin/sh: not executable' >&2; exit 126"]
        if self.emulator:
            return [*self.emulator, "/system/bin/sh", "-c", command]
        return ["/bin/sh", "-c", _OURS.sub(f"{self.root}/", command)]

    @property
    def environment(self) -> dict[str, str]:
        if self.emulator:
            return dict(os.environ)
        programs = f"{self.root}/system/bin:{os.environ['PATH']}"
        return os.environ | {"PATH": programs, "PHONE_ROOT": str(self.root)}
