"""Which tables there are, and the one way in which programs and pages name them.

    pixel-8                     as a device is usually meant: under its default runtime
    pixel-8@RUNTIME             under that runtime
    pixel-8@RUNTIME@imported    its rows of that origin; without one, those that were measured
    pixel-8@imported            the same, where it has one runtime
    pixel-8@sha256:...          as the table once was; it may have an origin, too

RUNTIME is a runtime's key. Commands also take parts of it, as in `host@int8`.
"""

from typing import NamedTuple, Self, get_args

from contract.errors import PhonebookError, near
from contract.sessions import Origin

ORIGINS: tuple[Origin, ...] = get_args(Origin)
_SNAPSHOT = "sha256:"


class TableAddress(NamedTuple):
    """How somebody names a table; what is None was left out."""

    device: str
    runtime: str | None = None
    snapshot: str | None = None
    origin: Origin | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """What the address says.

        Raises:
            PhonebookError: it is none.
        """
        device, *words = text.split("@")
        origin = words.pop() if len(words) > 1 or (words and words[0] in ORIGINS) else None
        if len(words) > 1:
            raise PhonebookError(
                f"{text!r} is no table; one looks like DEVICE, DEVICE@RUNTIME, "
                "DEVICE@RUNTIME@ORIGIN or DEVICE@sha256:..."
            )
        known = next((each for each in ORIGINS if each == origin), None)
        if origin is not None and known is None:
            raise PhonebookError(f"{text}: no origin {origin!r}; {near(origin, ORIGINS)}")
        word = words[0] if words else None
        if word is not None and word.startswith(_SNAPSHOT):
            return cls(device, snapshot=word, origin=known)
        return cls(device, runtime=word, origin=known)

    def __str__(self) -> str:
        """As it is written; the origin of measured rows goes without saying."""
        origin = None if self.origin == "measured" else self.origin
        words = (self.device, self.snapshot or self.runtime, origin)
        return "@".join(word for word in words if word is not None)


class TableKey(NamedTuple):
    """One table: a device's, under the runtime with that key, of one origin."""

    device: str
    runtime: str
    origin: Origin

    @property
    def address(self) -> str:
        """`DEVICE@RUNTIME`, and `DEVICE@RUNTIME@ORIGIN` if not measured."""
        return str(TableAddress(self.device, runtime=self.runtime, origin=self.origin))

    @property
    def device_and_origin(self) -> str:
        """The device, with a word for rows that were not measured on it."""
        return self.device if self.origin == "measured" else f"{self.device} ({self.origin})"

    def as_of(self, snapshot: str) -> str:
        """The address of this table as it was."""
        return str(TableAddress(self.device, snapshot=snapshot, origin=self.origin))
