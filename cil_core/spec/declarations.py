"""From the syntax tree of a submitted file to the recipe class that it declares. Nothing of it is executed.

A recipe is a declaration: literals, `Field`, `Schedule` and `Citation`, and names of such values above it.

Decision: the class is a real `Recipe` that pydantic creates, so that schema, presets and hashes come from the
code that serves built-in recipes. Later a sandbox runs the file and says whether it defines the same class.
"""

from __future__ import annotations

import ast
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    create_model,
)

from cil_core.spec.base import PRINTABLE
from cil_core.spec.errors import InvalidMethodFile
from cil_core.spec.method_description import ABOUT
from cil_core.spec.recipes import base
from cil_core.spec.recipes.base import Citation
from cil_core.spec.schedule import Schedule

MAX_DEPTH = 30
MAX_FIELDS = 40
MAX_PRESETS = 8
FIELD_ARGUMENTS = (
    "default",
    "description",
    "ge",
    "gt",
    "le",
    "lt",
    "max_length",
    "min_length",
    "multiple_of",
)

_REFUSED_ABOUT = frozenset({"ranked"})
_TYPES: dict[str, Any] = {"int": int, "float": float, "bool": bool, "Schedule": Schedule, "None": None}
_MAKERS = {"Schedule": Schedule, "Citation": Citation}
_CONSTANTS = {name: getattr(base, name) for name in ("SMALL", "FIRST_TASK", "SURVEY_FIRST_TASK")}
_BOUNDED = {"title": 40, "summary": 300, "differs": 1000}
_NAME: TypeAdapter[str] = TypeAdapter(
    Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
)
_CURVES = tuple[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,19}$")], ...]


def refusal(what: str, node: ast.AST) -> InvalidMethodFile:
    """The error that names a line and what is wrong with it."""
    return InvalidMethodFile(what, getattr(node, "lineno", None))


class Declarations:
    """The classes and constants of a file.

    Args:
        module: the syntax tree.

    Raises:
        InvalidMethodFile: `RECIPE` and `METHOD` do not each name a class of the file.
    """

    def __init__(self, module: ast.Module) -> None:
        self._constants: dict[str, Any] = {**_CONSTANTS}
        self._classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
        named: dict[str, list[ast.expr]] = {"RECIPE": [], "METHOD": []}
        for node in module.body:
            for name, value in _assigned(node):
                if name in named:
                    named[name].append(value)
                else:
                    self._remember(name, value)
        self._recipe = self._class_of("RECIPE", named["RECIPE"])
        self._class_of("METHOD", named["METHOD"])

    def recipe(self) -> type[base.Recipe]:
        """The recipe class.

        Raises:
            InvalidMethodFile: the class holds more than declarations, or its own defaults do not fit.
        """
        node = self._recipe
        if [_text(each) for each in node.bases] not in (["Recipe"], ["base.Recipe"]):
            raise refusal("a recipe has the base class Recipe and no other", node)
        if node.keywords or node.decorator_list:
            raise refusal("a recipe takes neither decorators nor arguments", node)
        about, fields = self._body(node)
        try:
            made = create_model(
                node.name,
                __base__=base.Recipe,
                __module__="submitted",
                __doc__=ast.get_docstring(node),
                **fields,
            )
            for name, value in _checked_about(about).items():
                setattr(made, name, value)
            made.published()
            for preset in made.presets:
                made.from_preset(preset)
            made.model_json_schema()
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, fault["loc"]))
            raise refusal(f"{node.name}: {where}: {fault['msg']}", node) from None
        except (TypeError, ValueError, NameError, RuntimeError) as error:
            raise refusal(f"{node.name}: {str(error)[:200]}", node) from None
        return made

    def _body(self, node: ast.ClassDef) -> tuple[dict[str, Any], dict[str, Any]]:
        """Class attributes, and fields with their types."""
        about: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        for item in node.body:
            if isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant):
                continue  # a docstring
            assigned = _assigned(item)
            if not assigned:
                raise refusal(f"a recipe holds declarations only, not `{_text(item)}`", item)
            ((name, value),) = assigned
            if name in ABOUT or name == "presets":
                about[name] = self._value(value)
            elif isinstance(item, ast.AnnAssign):
                fields[_field_name(name, item)] = (_type(item.annotation), self._field(value))
            else:
                raise refusal(
                    f"{name!r} needs a type; class attributes are {', '.join((*ABOUT, 'presets'))}", item
                )
        if len(fields) > MAX_FIELDS:
            raise refusal(f"{len(fields)} hyper-parameters; at most {MAX_FIELDS} are allowed", node)
        _check_name(fields, node)
        return about, fields

    def _remember(self, name: str, value: ast.expr) -> None:
        try:
            self._constants[name] = self._value(value)
        except InvalidMethodFile:  # no declaration; an error only where the recipe uses it
            self._constants.pop(name, None)

    def _class_of(self, name: str, values: list[ast.expr]) -> ast.ClassDef:
        if len(values) != 1 or not isinstance(values[0], ast.Name) or values[0].id not in self._classes:
            raise InvalidMethodFile(
                f"the file must contain `{name} = …` once, with the name of a class of this file"
            )
        return self._classes[values[0].id]

    def _field(self, node: ast.expr) -> Any:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Field"):
            return Field(default=self._value(node))
        words = {word.arg: word.value for word in node.keywords}
        if node.args or "default" not in words or not words.keys() <= set(FIELD_ARGUMENTS):
            raise refusal(f"Field takes default= and of the rest {', '.join(FIELD_ARGUMENTS[1:])}", node)
        values: dict[str, Any] = {str(name): self._value(value) for name, value in words.items()}
        return Field(**values)

    def _value(self, node: ast.expr, depth: int = 0) -> Any:  # noqa: PLR0911 - one return per kind of node
        """The value of a declaration."""
        if depth > MAX_DEPTH:
            raise refusal(f"more than {MAX_DEPTH} levels", node)
        match node:
            case ast.Constant(value=str() | int() | float() | None as constant):  # bool is an int
                return constant
            case ast.Name(id=name) if name in self._constants:
                return self._constants[name]
            case ast.Tuple(elts=elements):
                return tuple(self._value(each, depth + 1) for each in elements)
            case ast.List(elts=elements):
                return [self._value(each, depth + 1) for each in elements]
            case ast.Dict(keys=keys, values=values):
                pairs = [(key, value) for key, value in zip(keys, values, strict=True) if key is not None]
                if len(pairs) == len(keys):
                    return {self._value(key, depth + 1): self._value(one, depth + 1) for key, one in pairs}
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
            case ast.Call():
                return self._made(node, depth + 1)
        raise refusal(f"`{_text(node)}` is no literal, Schedule or Citation", node)

    def _made(self, node: ast.Call, depth: int) -> Any:
        """`Schedule(…)`, `Citation(…)`, or `SCHEDULE.model_copy(update={…})`."""
        words = {word.arg: self._value(word.value, depth) for word in node.keywords if word.arg}
        if node.args or len(words) != len(node.keywords):
            raise refusal(f"`{_text(node)}`: give every argument by name", node)
        try:
            match node.func:
                case ast.Name(id=maker) if maker in _MAKERS:
                    return _MAKERS[maker](**words)
                case ast.Attribute(value=inner, attr="model_copy") if words.keys() == {"update"}:
                    schedule = self._value(inner, depth)
                    if isinstance(schedule, Schedule):
                        return Schedule.model_validate({**schedule.model_dump(), **words["update"]})
        except (TypeError, ValueError) as error:
            raise refusal(f"`{_text(node)}`: {str(error).splitlines()[0][:200]}", node) from None
        raise refusal(f"`{_text(node)}` is no literal, Schedule or Citation", node)


def _assigned(node: ast.stmt) -> list[tuple[str, ast.expr]]:
    """The name and value of an assignment to one name; nothing for any other statement."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        return [(node.target.id, node.value)]
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return [(node.targets[0].id, node.value)]
    return []


def _field_name(name: str, node: ast.AST) -> str:
    taken = hasattr(base.Recipe, name) and name not in base.Recipe.model_fields
    if name.startswith(("_", "model_")) or len(name) > 40 or taken or name in {"preset", "source"}:
        raise refusal(f"a hyper-parameter cannot be called {name[:60]!r}", node)
    return name


def _check_name(fields: dict[str, Any], node: ast.AST) -> None:
    kind, field = fields.get("name", (None, None))
    try:
        _NAME.validate_python(field.default if field else None)
    except ValidationError:
        kind = None
    if field is None or get_args(kind) != (field.default,):
        raise refusal(
            'a recipe needs its name in lower case: `name: Literal["my-method"] = "my-method"`', node
        )


def _type(node: ast.expr, depth: int = 0) -> Any:
    """The type of a hyper-parameter."""
    match node:
        case ast.Name(id=name) | ast.Constant(value=str(name)) if name in _TYPES:
            return _TYPES[name]
        case ast.Constant(value=None):
            return None
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            options = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            values = [each.value for each in options if isinstance(each, ast.Constant)]
            if len(values) == len(options) and all(isinstance(one, str | int) for one in values):
                return Literal[tuple(values)]
        case ast.Subscript(
            value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[kind, ast.Constant(value=last)])
        ):
            if last is ... and depth < MAX_DEPTH:
                return tuple[_type(kind, depth + 1), ...]  # type: ignore[misc]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right) if depth < MAX_DEPTH:
            return _type(left, depth + 1) | _type(right, depth + 1)
    allowed = "int, float, bool, Schedule, Literal, tuple[…, ...], or several of them with |"
    raise refusal(f"the type of a hyper-parameter is {allowed}; not `{_text(node)}`", node)


def _checked_about(about: dict[str, Any]) -> dict[str, Any]:
    """Class attributes, checked against the types that `Recipe` declares."""
    if refused := sorted(_REFUSED_ABOUT & about.keys()):
        raise ValueError(f"{refused[0]!r} is not for submitted methods")
    checked = _ABOUT.model_validate(about)
    return {name: getattr(checked, name) for name in about}


def _about_model() -> type[BaseModel]:
    hints = get_type_hints(base.Recipe, include_extras=True)
    kinds: dict[str, Any] = {name: get_args(hints[name])[0] for name in (*ABOUT, "presets")}
    kinds |= {name: Annotated[str, Field(max_length=most)] for name, most in _BOUNDED.items()}
    kinds |= {name: Annotated[kinds[name], PRINTABLE] for name in ("title", "summary")}
    presets = kinds["presets"]
    kinds["presets"] = Annotated[presets, Field(max_length=MAX_PRESETS)]
    kinds["classifiers"] = Annotated[_CURVES, Field(min_length=1, max_length=8)]
    fields: dict[str, Any] = {name: (kind, getattr(base.Recipe, name, ...)) for name, kind in kinds.items()}
    return create_model("About", __config__=ConfigDict(extra="forbid", strict=True), **fields)


_ABOUT = _about_model()


def _text(node: ast.AST) -> str:
    """The first line of the code, shortened."""
    try:
        return ast.unparse(node).splitlines()[0][:60]
    except (RecursionError, ValueError, IndexError):
        return type(node).__name__
