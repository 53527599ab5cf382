"""The base of every value that crosses a program's border."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """Immutable, hashable, closed to fields it does not know, and free of NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
