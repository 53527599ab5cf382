"""Sessions: one agent's sitting on one device with one runtime."""

from typing import Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from contract.derivation import Derivation
from contract.devices import Conditions, DeviceName, Serial
from contract.runtime import Runtime
from contract.spaces import SpaceName
from contract.values import Value

Origin = Literal["measured", "imported", "emulated"]
Effort = Literal["quick", "standard", "thorough"]


class Session(Value):
    """One agent's sitting on one device with one runtime. The client makes `id`.

    `ended_at` and `conditions_after` are null while it lasts. `unit` is the serial number of the
    phone, where the agent tells one; where not, the field is left out, as before it existed.
    `source` tells where imported timings come from, which began on their date. `derivation` says
    how the samples came of the session's visits; it is left out while it lasts, and of sessions
    whose visits were not kept.
    """

    id: UUID
    device: DeviceName
    runtime: Runtime
    space: SpaceName
    origin: Origin
    effort: Effort
    started_at: AwareDatetime
    agent_version: str = Field(min_length=1, max_length=50)
    conditions: Conditions
    ended_at: AwareDatetime | None = None
    conditions_after: Conditions | None = None
    unit: Serial | None = Field(default=None, exclude_if=lambda unit: unit is None)
    source: str | None = Field(default=None, min_length=1, max_length=500)
    derivation: Derivation | None = Field(default=None, exclude_if=lambda it: it is None)

    @model_validator(mode="after")
    def _imported_or_not(self) -> Self:
        if (self.source is None) == (self.origin == "imported"):
            raise ValueError("imported timings tell their source, and others have none")
        if self.runtime.backend == "foreign" and self.origin != "imported":
            raise ValueError("only imported timings have a foreign runtime")
        return self
