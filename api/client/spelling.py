"""Text in an encoding that lacks some of its characters: `±` as `+-`, a bar of a sparkline as a digit."""

from __future__ import annotations

_SPELLINGS = {
    "–": "-",
    "—": "-",
    "−": "-",
    "─": "-",
    "…": "...",
    "±": "+-",
    "×": "x",
    "·": "|",
    "✓": "*",
    "↑": "^",
    "↓": "v",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    **{bar: str(height) for height, bar in enumerate("▁▂▃▄▅▆▇█", start=1)},
}


def spelled(text: str, encoding: str) -> str:
    """The text with replacements for what the encoding lacks; `?` for a character without one."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_spelled(character, encoding) for character in text)
    return text


def _spelled(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return _SPELLINGS.get(character, "?")
    return character
