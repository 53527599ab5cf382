"""What a session waits for, and how long, as options of every command that measures."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter, validators

from contract.devices import Patience
from contract.errors import PhonebookError

_MINUTES = validators.Number(gte=0, lte=7 * 24 * 60)
_DEGREES = validators.Number(gte=10, lte=60)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class PatienceOptions:
    """Heat is that of an Android phone's battery, which stands for the whole phone's. iPhones tell
    no degrees, and are waited for while iOS calls their heat serious."""

    patience: Annotated[
        float,
        Parameter(
            help="Minutes to wait while other programs use the device's CPUs.", validator=_MINUTES
        ),
    ] = 10.0
    cooling: Annotated[
        float,
        Parameter(help="Minutes to wait for a phone that is warm to cool.", validator=_MINUTES),
    ] = 15.0
    cool: Annotated[
        float,
        Parameter(help="A phone is warm from this on, in °C of its battery.", validator=_DEGREES),
    ] = 38.0
    hot: Annotated[
        float,
        Parameter(
            help="No phone is measured from this on, in °C of its battery.", validator=_DEGREES
        ),
    ] = 45.0

    def __post_init__(self) -> None:
        if self.cool >= self.hot:
            raise PhonebookError(
                f"--cool {self.cool:g} and --hot {self.hot:g}: a phone is warm before it is hot; "
                "give a lower --cool"
            )

    def stated(self) -> Patience | None:
        """As a session states it; None where it is the usual one."""
        if self == USUAL:
            return None
        return Patience(
            others_s=self.patience * 60,
            cooling_s=self.cooling * 60,
            cool_c=self.cool,
            hot_c=self.hot,
        )


USUAL = PatienceOptions()
