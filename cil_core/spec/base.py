"""`Frozen`, the base of values that cross a process boundary; `Submitted`, of what users write; and `Line`.

`Before` marks fields that were added after values were stored.

Decisions:
    * `Frozen` is immutable, refuses unknown fields, NaN and infinity, and has one canonical JSON form: equal
      values have equal hashes.
    * `Submitted` converts no type: `true` is not 1, `2.0` is no integer and `"3"` is no number.
    * `Line` guards text that is printed for other users. It is checked at submission only, so that older rows
      still load.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema


class Frozen(BaseModel):
    """An immutable, strictly checked value with a canonical JSON form."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants", validate_default=True
    )

    def canonical_json(self) -> str:
        """The one JSON text of this value: every field spelled out, keys sorted, no spaces."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


_NUMBERS = frozenset({"int", "float", "bool"})
_NO_SCHEMA = frozenset({"default", "metadata", "serialization"})


def _refuse_conversions(schema: Any) -> None:
    if isinstance(schema, list | tuple):
        for part in schema:
            _refuse_conversions(part)
    elif isinstance(schema, dict):
        if schema.get("type") in _NUMBERS:
            schema["strict"] = True
        for name, part in schema.items():
            if name not in _NO_SCHEMA:
                _refuse_conversions(part)


class Submitted(BaseModel):
    """A value that users write as JSON: its numbers and booleans are taken as they are, or refused."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The usual schema, without conversions between numbers, booleans and text."""
        schema = handler(source)
        _refuse_conversions(schema)
        return schema


@dataclass(frozen=True, slots=True)
class Before:
    """The value that held before a field existed; pass it to `Field(exclude_if=…)`."""

    value: Any

    def __call__(self, value: Any) -> bool:
        """Whether the JSON leaves `value` out."""
        return bool(value == self.value)


def values_before_fields(model: type[BaseModel]) -> dict[str, Any]:
    """By field, the value that held before it existed; fields that always existed are missing."""
    return {
        name: field.exclude_if.value
        for name, field in model.model_fields.items()
        if isinstance(field.exclude_if, Before)
    }


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces.

    Raises:
        ValueError: for NaN and infinity, which JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def one_line(json_text: str) -> str:
    """The same JSON with U+0085, U+2028 and U+2029 escaped.

    Some readers of lines take them for a line break.
    """
    return _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", json_text)


def printable_line(text: str) -> str:
    """The text, if other users may see it on one line.

    Raises:
        ValueError: it is blank, or has a control character, a line break or a change of writing direction.
    """
    for position, character in enumerate(text, start=1):
        if unicodedata.category(character) in _UNPRINTABLE or character in _DIRECTIONS:
            name = unicodedata.name(character, "control character")
            raise ValueError(
                f"character {position} is U+{ord(character):04X} ({name});"
                " control characters, line breaks and changes of writing direction are not allowed"
            )
    if not any(unicodedata.category(character)[0] not in "ZC" for character in text):
        raise ValueError("it is blank; at least one visible character is required")
    return text


PRINTABLE = AfterValidator(printable_line)
"""Makes a text field refuse text that other users cannot see on one line. Write it after length limits."""

Line = Annotated[str, PRINTABLE]
"""A name or title: one line of text with something to see in it."""

_BREAKS = re.compile("[\x85\u2028\u2029]")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTIONS = frozenset(map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))
