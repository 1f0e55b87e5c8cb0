r"""Text of strangers on a terminal: characters that move the cursor, hide or reverse text appear as escapes.

Decisions:
    * Escaped are control characters, line and paragraph separators, invisible format characters (among them
      the bidirectional overrides), lone surrogates and private use: `\x1b`, `\u202e`, `\U000e0001`.
    * Backslashes stay as they are, so that escaping a text twice changes nothing.
"""

from __future__ import annotations

import re
import unicodedata

_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories."""

_SUSPECT = re.compile(r"[^\x20-\x7e]")
"""Everything beyond printable ASCII, which most texts are."""


def printable(text: str) -> str:
    """The text in one line, with each character that a terminal might obey as its escape."""
    return _SUSPECT.sub(lambda found: _escaped(found[0]), text)


def printable_lines(text: str) -> str:
    r"""The same for a text of several lines: `\n` stays, a tab becomes spaces."""
    return "\n".join(printable(line.expandtabs()) for line in text.split("\n"))


def printable_json(document: str) -> str:
    r"""A JSON document with each such character within its strings as `\uXXXX`; it means the same."""
    return "\n".join(
        _SUSPECT.sub(lambda found: _json_escaped(found[0]), line) for line in document.split("\n")
    )


def is_printable(character: str) -> bool:
    """Whether a terminal shows the character and nothing else happens."""
    return unicodedata.category(character) not in _UNPRINTABLE


def _escaped(character: str) -> str:
    if is_printable(character):
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else _unicode_escape(number)


def _json_escaped(character: str) -> str:
    if is_printable(character):
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))


def _unicode_escape(number: int) -> str:
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
