"""The base of every value that crosses a program's border."""

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

Bytes = Annotated[int, Field(ge=0, lt=2**63)]

_STRICT = ("int", "float", "bool")


def _make_strict(schema: object) -> None:
    """Every number and truth value within; dates and ids stay as JSON writes them."""
    if isinstance(schema, dict):
        if schema.get("type") in _STRICT:
            schema["strict"] = True
        for part in schema.values():
            _make_strict(part)
    elif isinstance(schema, list | tuple):
        for part in schema:
            _make_strict(part)


class Value(BaseModel):
    """Immutable, hashable, closed to fields it does not know, and free of NaN and infinity.

    Numbers are numbers: neither `"1"` nor `true` is taken for one. Another value like this one
    comes from `evolve`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        _make_strict(schema)
        return schema

    def evolve(self, **changes: Any) -> Self:
        """This value with other fields, checked as a new one is; what was derived is derived anew.

        Raises:
            ValidationError: no such field, or the fields do not go together.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate(fields | changes, by_name=True)

    def model_copy(
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> NoReturn:
        """Refused: the copy would keep what was derived from the fields before, unchecked.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{type(self).__name__} is never copied with changes; use evolve()")
