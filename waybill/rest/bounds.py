"""Bounds of a request's fields that a setting gives: read when a request is checked, or the API is described.

`Field(le=…)` would need the number when the module is imported, and so a whole environment to import it in.
"""

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


@dataclass(frozen=True, slots=True)
class AtMost:
    """Let a number be no larger, or a list no longer, than a setting says; for `Annotated`."""

    limit: Callable[[], int]
    either_sign: bool = False
    """Bound a negative number too."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the type is."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the bound as it is now."""
        described = handler(schema)
        described["maxItems" if described.get("type") == "array" else "maximum"] = self.limit()
        if self.either_sign:
            described["minimum"] = -self.limit()
        return described

    def _checked(self, value: Any) -> Any:
        limit = self.limit()
        if isinstance(value, Sized):
            if (length := len(value)) > limit:
                bound = {"field_type": "List", "max_length": limit, "actual_length": length}
                raise PydanticKnownError("too_long", bound)
        elif value > limit:
            raise PydanticKnownError("less_than_equal", {"le": limit})
        elif self.either_sign and value < -limit:
            raise PydanticKnownError("greater_than_equal", {"ge": -limit})
        return value
