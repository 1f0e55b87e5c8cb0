"""A submitted method: one Python file, read without running any of it.

`read` checks that people can read the file, and makes the recipe class that it declares.

Decisions:
    * A file holds a method and no data: its size is limited, also compressed. What a reader cannot see
      (control characters, changes of writing direction, lines that run off the screen) is refused.
    * Imports are limited to what a method needs, for the sake of the file's readers. This is no security
      boundary: the sandbox is.
    * The digest identifies the exact bytes.
"""

from __future__ import annotations

import ast
import hashlib
import unicodedata
import warnings
import zlib
from dataclasses import dataclass
from functools import lru_cache

from cil_core.spec.declarations import Declarations, refusal
from cil_core.spec.errors import InvalidMethodFile
from cil_core.spec.recipes import BY_NAME, base

MAX_BYTES = 65_536
MAX_COMPRESSED_BYTES = 8_192
MAX_LINE = 200
MAX_NODES = 30_000
IMPORTS = (
    "cil_core.data.arrays",
    "cil_core.data.augment",
    "cil_core.learning",
    "cil_core.methods",
    "cil_core.nets",
    "cil_core.spec.recipes",
    "cil_core.spec.schedule",
    "numpy",
    "pydantic",
    "scipy",
    "sklearn",
    "torch",
    "__future__",
    "abc",
    "bisect",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "enum",
    "functools",
    "heapq",
    "itertools",
    "math",
    "operator",
    "random",
    "statistics",
    "typing",
)
"""Modules that a file may import, with their submodules."""

REFUSED_IMPORTS = ("sklearn.datasets", "torch.hub", "torch.utils.cpp_extension")

_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class MethodFile:
    """A file that has been read.

    Attributes:
        text: its content.
        digest: SHA-256 of its bytes, in hexadecimal.
        recipe: the class that it declares as `RECIPE`.
    """

    text: str
    digest: str
    recipe: type[base.Recipe]


@lru_cache(maxsize=64)
def read(content: bytes) -> MethodFile:
    """Read a submitted file.

    Args:
        content: the exact bytes.

    Raises:
        InvalidMethodFile: it cannot be submitted; the message says why, and in which line.
    """
    text = _readable(content)
    module = _parsed(text)
    _check_imports(module)
    recipe = Declarations(module).recipe()
    return MethodFile(text, hashlib.sha256(content).hexdigest(), recipe)


def refuse_known_title(recipe: type[base.Recipe]) -> None:
    """Refuse a title that readers of a leaderboard would take for a built-in method's.

    Raises:
        InvalidMethodFile: names the built-in method.
    """
    for name, built_in in BY_NAME.items():
        if _folded(recipe.title) == _folded(built_in.title):
            raise InvalidMethodFile(f"the title {recipe.title!r} is that of the built-in method {name!r}")


def _folded(title: str) -> str:
    return "".join(unicodedata.normalize("NFKC", title).casefold().split())


def _readable(content: bytes) -> str:
    """The text of a file that people can read."""
    if len(content) > MAX_BYTES:
        raise InvalidMethodFile(f"the file has {len(content)} bytes; at most {MAX_BYTES} are allowed")
    compressed = len(zlib.compress(content, 9))
    if compressed > MAX_COMPRESSED_BYTES:
        raise InvalidMethodFile(
            f"the file compresses to {compressed} bytes; at most {MAX_COMPRESSED_BYTES} are allowed, "
            "enough for a method and too few for data"
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidMethodFile(f"byte {error.start} is not UTF-8", line) from None
    for number, line_text in enumerate(text.split("\n"), 1):
        _check_line(number, line_text.removesuffix("\r"))
    return text


def _check_line(number: int, line: str) -> None:
    if len(line) > MAX_LINE:
        raise InvalidMethodFile(f"{len(line)} characters; a line has at most {MAX_LINE}", number)
    for column, character in enumerate(line, 1):
        if character != "\t" and unicodedata.category(character) in _INVISIBLE:
            raise InvalidMethodFile(
                f"column {column} holds the invisible character U+{ord(character):04X}", number
            )


def _parsed(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes, which are the author's to fix
            module = ast.parse(text, "submitted.py")
        nodes = sum(1 for _ in ast.walk(module))
    except SyntaxError as error:
        raise InvalidMethodFile(f"this is not Python: {error.msg}", error.lineno) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise InvalidMethodFile(f"the file cannot be parsed: {type(error).__name__}") from None
    if nodes > MAX_NODES:
        raise InvalidMethodFile(f"the file has {nodes} elements of syntax; at most {MAX_NODES} are allowed")
    return module


def _check_imports(module: ast.Module) -> None:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise refusal("a relative import: the file is alone", node)
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if not _is_within(name, IMPORTS) or _is_within(name, REFUSED_IMPORTS):
                raise refusal(f"the import of {name[:80]}; allowed: {', '.join(IMPORTS)}", node)


def _is_within(name: str, modules: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{module}.") for module in modules)
