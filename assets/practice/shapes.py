"""Which parameters a call takes, and of what type: read from the TypedDicts that the stripe SDK is generated with.

So a parameter is known here exactly if it is known to the API version that the SDK pins, at every depth. Where the SDK
allows any text beside its choices (`Literal[…] | str`), the API does not, and neither do we.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from stripe import RequestOptions, StripeContext, StripeObject

from assets.practice.errors import ApiError, invalid, missing, unknown

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_PLACES = 12
_METADATA_KEYS, _KEY_LENGTH, _VALUE_LENGTH = 50, 40, 500
_TEXT_LENGTH = 5000


@dataclass(frozen=True, slots=True)
class Shape:
    """A type, or several: the first that takes the value reads it."""

    scalar: type | None = None
    choices: tuple[str, ...] = ()
    each: Shape | None = None  # of a list, or of a map's values
    is_map: bool = False
    fields: Mapping[str, Shape] | None = None
    required: frozenset[str] = frozenset()
    any_of: tuple[Shape, ...] = field(default=())


@cache
def shape_of(params: type) -> Shape:
    """The shape of a whole call. What the SDK keeps to itself (keys, retries, headers) never goes on the wire."""
    ours = set(RequestOptions.__annotations__)
    hints = get_type_hints(
        params, localns={**vars(sys.modules[RequestOptions.__module__]), "StripeContext": StripeContext}
    )
    return Shape(
        fields={name: _shape(hint) for name, hint in hints.items() if name not in ours},
        required=frozenset(params.__required_keys__) - ours,  # type: ignore[attr-defined]
    )


def _shape(hint: Any) -> Shape:
    origin, args = get_origin(hint), get_args(hint)
    if hint in (int, str, bool, Decimal, float):
        return Shape(scalar=hint)
    if origin is Literal:
        return Shape(choices=args)
    if origin is list:
        return Shape(each=_shape(args[0]))
    if origin is dict:
        return Shape(each=_shape(args[1]), is_map=True)
    if hasattr(hint, "__required_keys__"):  # a TypedDict, whichever library it is from
        return shape_of(hint)
    if origin in (Union, UnionType):
        kinds = [_shape(arg) for arg in args if not _is_object(arg)]
        if any(kind.choices not in ((), ("",)) for kind in kinds):
            kinds = [kind for kind in kinds if kind.scalar is not str]
        return kinds[0] if len(kinds) == 1 else Shape(any_of=tuple(kinds))
    raise TypeError(f"no shape for {hint!r}")


def _is_object(hint: Any) -> bool:
    """One of the SDK's own objects, which it takes in a parameter's place and sends as that."""
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, StripeObject)


def read(shape: Shape, value: Any, name: str = "") -> Any:
    """The value in its own type; ApiError in Stripe's words where it has another."""
    if shape.fields is not None:
        return _read_fields(shape, value, name)
    if shape.any_of:
        return _read_any(shape.any_of, value, name)
    if shape.each is not None:
        return _read_each(shape, shape.each, value, name)
    if not isinstance(value, str):
        raise invalid(f"Invalid string: {name} is a hash or an array", name)
    if shape.choices:
        if value not in shape.choices:
            raise invalid(f"Invalid {name}: must be one of {', '.join(shape.choices)}", name)
        return value
    return _read_scalar(shape.scalar, value, name)


def _read_fields(shape: Shape, value: Any, name: str) -> dict[str, Any]:
    assert shape.fields is not None
    if not isinstance(value, dict):
        raise invalid("Invalid object", name)
    for key in value:
        if key not in shape.fields:
            raise unknown(_inside(name, key))
    for key in sorted(shape.required):
        if key not in value:
            raise missing(_inside(name, key))
    return {key: read(shape.fields[key], each, _inside(name, key)) for key, each in value.items()}


def _read_any(kinds: tuple[Shape, ...], value: Any, name: str) -> Any:
    refusal: ApiError | None = None
    for kind in kinds:
        try:
            return read(kind, value, name)
        except ApiError as error:
            # The reason that counts is that of the type the value looks like.
            looks_alike = isinstance(value, dict) == (kind.fields is not None or kind.each is not None)
            if refusal is None or (looks_alike and kind.choices != ("",)):
                refusal = error
    assert refusal is not None
    raise refusal


def _read_each(shape: Shape, each: Shape, value: Any, name: str) -> Any:
    if not isinstance(value, dict):
        raise invalid("Invalid object" if shape.is_map else "Invalid array", name)
    if shape.is_map:
        # An empty value takes a metadata key away, and is never kept.
        return {key: read(each, it, _inside(name, key)) if it != "" else "" for key, it in value.items()}
    if sorted(value, key=_position) != [str(n) for n in range(len(value))]:
        raise invalid("Invalid array", name)
    return [read(each, value[str(n)], f"{name}[{n}]") for n in range(len(value))]


def _position(key: str) -> int:
    return int(key) if _INTEGER.fullmatch(key) else -1


def _read_scalar(kind: type | None, value: str, name: str) -> Any:
    if value == "":
        raise invalid(
            f"'{name}' is empty, which would unset it, and it can't be unset; give it a value or leave it out.",
            name,
            "parameter_invalid_empty",
        )
    if kind is int:
        if _INTEGER.fullmatch(value) is None:
            raise invalid(f"Invalid integer: {value}", name, "parameter_invalid_integer")
        return int(value)
    if kind is bool:
        if value not in ("true", "false"):
            raise invalid(f"Invalid boolean: {value}", name)
        return value == "true"
    if kind is Decimal:
        if _DECIMAL.fullmatch(value) is None:
            raise invalid(f"Invalid decimal: {value}", name)
        if len(value.partition(".")[2]) > _PLACES:
            raise invalid(f"Invalid decimal: {value}; maximum {_PLACES} decimal places", name)
        return Decimal(value)
    if len(value) > _TEXT_LENGTH:
        raise invalid(f"Invalid string: {value[:20]}…; must be at most {_TEXT_LENGTH} characters", name)
    return value


def _inside(name: str, key: str) -> str:
    return f"{name}[{key}]" if name else key


def metadata(told: dict[str, str] | Literal[""], before: dict[str, str] | None = None) -> dict[str, str]:
    """Metadata after a call: keys are added or replaced, emptied keys go, all go where the whole is emptied."""
    if told == "":
        return {}
    for key, value in told.items():
        if len(key) > _KEY_LENGTH:
            raise invalid(
                f"A metadata key has at most {_KEY_LENGTH} characters; '{key[:20]}…' has {len(key)}.",
                f"metadata[{key}]",
            )
        if len(value) > _VALUE_LENGTH:
            raise invalid(
                f"A metadata value has at most {_VALUE_LENGTH} characters; this has {len(value)}.",
                f"metadata[{key}]",
            )
    after = {**(before or {}), **told}
    after = {key: value for key, value in after.items() if value != ""}
    if len(after) > _METADATA_KEYS:
        raise invalid(f"An object has at most {_METADATA_KEYS} metadata keys; there would be {len(after)}.", "metadata")
    return after
