"""Nested frozen dataclasses to and from JSON, `a.b=value` overrides, and differences.

Works for any such tree. A field's type, and the range given by `setting`, say what it
may hold. All errors are reported at once, each with the field's path, the value and
what is allowed; for an unknown key, with similar names.
"""

import contextlib
import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from sparsetx.system.errors import refuse_all

Tree = TypeVar("Tree")


LIMIT = 2**63  # whole numbers must be below it, to fit into arrays


def setting(
    default: Any,
    help: str,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
) -> Any:
    """A dataclass field with its default, help text (with the unit) and range."""
    bounds = {"at_least": at_least, "at_most": at_most, "above": above}
    return dataclasses.field(default=default, metadata={"help": help, "bounds": bounds})


def to_json(tree: Any) -> dict[str, Any]:
    """Nested dicts of numbers, strings, lists and None, with every field."""
    return {
        field.name: to_json(value) if dataclasses.is_dataclass(value) else _plain(value)
        for field in dataclasses.fields(tree)
        for value in [getattr(tree, field.name)]
    }


def from_json(tree_type: type[Tree], value: Any, what: str) -> Tree:
    """The tree that `to_json` wrote. Missing keys take their defaults."""
    offences: list[str] = []
    tree = _build(tree_type, value, "", offences)
    refuse_all(what, offences)
    return typing.cast(Tree, tree)


def override(tree: Tree, assignments: Sequence[str], what: str) -> Tree:
    """The tree with `model.d_model=256`, `data.name=stdlib`, … applied in order."""
    offences: list[str] = []
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            offences.append(f"{assignment!r}: wanted key.sub=value")
            continue
        tree = _assign(tree, path.strip().split("."), text.strip(), path, offences)
    refuse_all(what, offences)
    return tree


def diff(one: Any, other: Any) -> list[tuple[str, Any, Any]]:
    """(path, value in one, value in other) wherever two trees of a type differ."""
    ours, theirs = dict(leaves(one)), dict(leaves(other))
    return [
        (path, ours.get(path), theirs.get(path))
        for path in [*ours, *(p for p in theirs if p not in ours)]
        if ours.get(path) != theirs.get(path)
    ]


def leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of every field that is not itself a tree."""
    for path, value, _ in explained(tree, prefix):
        yield path, value


def explained(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """(dotted path, value, help text) of every leaf."""
    for field in dataclasses.fields(tree):
        value = getattr(tree, field.name)
        path = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from explained(value, path + ".")
        else:
            yield path, value, field.metadata.get("help", "")


def offences(tree: Any, prefix: str = "") -> Iterator[str]:
    """Every field whose value is not of its type, or outside its range."""
    hints = typing.get_type_hints(type(tree))
    for field in dataclasses.fields(tree):
        value, path = getattr(tree, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            yield from offences(value, path + ".")
            continue
        problem = _mismatch(hints[field.name], value) or _outside(field, value)
        if problem:
            yield f"{path} = {shown(value)}: {problem}"


def near(name: str, known: Sequence[str]) -> str:
    """'did you mean …?' for a mistyped name; the known names if none is similar."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(known)}"


def shown(value: Any) -> str:
    """A value as JSON, cut to 60 characters."""
    text = json.dumps(_plain(value), default=repr)
    return text if len(text) <= 60 else text[:57] + "..."


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _build(tree_type: Any, value: Any, prefix: str, offences: list[str]) -> Any:
    if not isinstance(value, Mapping):
        place = prefix.rstrip(".") or "the whole"
        offences.append(f"{place}: wanted an object with keys, got {shown(value)}")
        return tree_type()
    hints = typing.get_type_hints(tree_type)
    for key in value:
        if key not in hints:
            advice = near(str(key), list(hints))
            offences.append(f"{prefix}{key}: there is no such key; {advice}")
    found = {}
    for name, hint in hints.items():
        if name not in value:
            continue
        if dataclasses.is_dataclass(hint):
            found[name] = _build(hint, value[name], f"{prefix}{name}.", offences)
            continue
        typed = _from_plain(hint, value[name])
        problem = _mismatch(hint, typed)
        if problem:
            offences.append(f"{prefix}{name} = {shown(value[name])}: {problem}")
        else:
            found[name] = typed
    return tree_type(**found)


def _assign(
    tree: Any, keys: list[str], text: str, path: str, offences: list[str]
) -> Any:
    hints = typing.get_type_hints(type(tree))
    key, rest = keys[0], keys[1:]
    if key not in hints:
        offences.append(f"{path}: there is no key {key!r}; {near(key, list(hints))}")
        return tree
    if dataclasses.is_dataclass(hints[key]):
        if not rest:
            inside = ", ".join(typing.get_type_hints(hints[key]))
            offences.append(f"{path}: a group, not a value; set one of its {inside}")
            return tree
        below = _assign(getattr(tree, key), rest, text, path, offences)
        return dataclasses.replace(tree, **{key: below})
    if rest:
        offences.append(f"{path}: {key} holds a value and has no keys inside")
        return tree
    value = _from_text(hints[key], text)
    problem = _mismatch(hints[key], value)
    if problem:
        offences.append(f"{path} = {text}: {problem}")
        return tree
    return dataclasses.replace(tree, **{key: value})


def _from_text(hint: Any, text: str) -> Any:
    """Typed text converted to the field's type; the text itself if that fails."""
    if text.lower() in ("none", "null") and type(None) in typing.get_args(hint):
        return None
    if typing.get_origin(hint) is tuple:
        bare = text.strip("()[]")
        return tuple(p.strip().strip("\"'") for p in bare.split(",") if p.strip())
    if _accepts(hint, str):
        return text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        return text
    whole = math.isfinite(number) and number == int(number)
    return _from_plain(hint, int(number) if whole else number)


def _from_plain(hint: Any, value: Any) -> Any:
    """JSON has no tuples and writes 1.0 as 1: undo both."""
    if isinstance(value, list) and typing.get_origin(hint) is tuple:
        return tuple(value)
    if type(value) is int and not _accepts(hint, int) and _accepts(hint, float):
        with contextlib.suppress(
            OverflowError
        ):  # too large: stays an int, and is refused
            return float(value)
    return value


def _accepts(hint: Any, kind: type) -> bool:
    return kind in _alternatives(hint) or any(
        typing.get_origin(h) is Literal and kind in map(type, typing.get_args(h))
        for h in _alternatives(hint)
    )


def _alternatives(hint: Any) -> tuple[Any, ...]:
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if union else (hint,)


def _mismatch(hint: Any, value: Any) -> str:
    """'' if the value is of the type; else a message that says what was wanted."""
    if any(_is(h, value) for h in _alternatives(hint)):
        return ""
    if type(value) is int and _accepts(hint, int):
        return "wanted a whole number below 2^63"
    return "wanted " + " or ".join(_named(h) for h in _alternatives(hint))


def _is(hint: Any, value: Any) -> bool:
    if typing.get_origin(hint) is Literal:
        return any(type(value) is type(a) and value == a for a in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        inside = typing.get_args(hint)[0]
        return isinstance(value, tuple) and all(_is(inside, v) for v in value)
    if type(value) is not hint:  # so that True is not an int
        return False
    return hint is not int or -LIMIT <= value < LIMIT


def _named(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return " or ".join(json.dumps(a) for a in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"a list of {_named(typing.get_args(hint)[0])}"
    names = {int: "a whole number", float: "a number", bool: "true or false"}
    names |= {str: "text", type(None): "null"}
    return names.get(hint, str(hint))


def _outside(field: "dataclasses.Field[Any]", value: Any) -> str:
    """'' if a number is in its field's range; else a message with the range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    low, high, above = (
        field.metadata.get("bounds", {}).get(b)
        for b in ("at_least", "at_most", "above")
    )
    inside = (
        math.isfinite(value)
        and (low is None or value >= low)
        and (high is None or value <= high)
        and (above is None or value > above)
    )
    words = [f"{low} or more"] if low is not None else []
    words += [f"above {above}"] if above is not None else []
    words += [f"at most {high}"] if high is not None else []
    return "" if inside else f"wanted {' and '.join(words) or 'a finite number'}"
