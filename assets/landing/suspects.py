"""Which JSON lines DuckDB's reader may not read exactly: two regular expressions over the line's text.

They may call a good line suspect, at the price of the careful reading; they never pass over a bad one. Only the keys
that the mapping reads are looked at, so that a long fraction elsewhere costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Decimals of up to 15 digits survive the way through a double and back (16 where the double's steps are finer than
# the last digit, as in an epoch in seconds with microseconds). Each line: too many digits for the whole part's width.
_LONG_FRACTION = "|".join(
    (
        r"0\.[0-9]{16,}",
        r"[1-9][0-9]{0,3}\.[0-9]{12,}",
        r"[1-9][0-9]{4,6}\.[0-9]{9,}",
        r"[1-9][0-9]{7,8}\.[0-9]{7,}",
        r"[1-3][0-9]{9}\.[0-9]{7,}",
        r"[4-9][0-9]{9}\.[0-9]{6,}",
        r"[1-9][0-9]{10,11}\.[0-9]{4,}",
        r"[1-3][0-9]{12}\.[0-9]{4,}",
        r"[4-9][0-9]{12}\.[0-9]{3,}",
        r"[1-9][0-9]{13,}\.[0-9]",
        r"[0-9.]+[eE][-+]?[0-9]{3,}",
        r"[0-9.]{16,}[eE]",
    )
)
# As text, a number must also be written the way a double is shown: no trailing zero, no exponent, not very small.
_NOT_AS_WRITTEN = r"[0-9]+\.[0-9]*0(?:[^0-9]|$)|[0-9.]+[eE]|0\.00000"
_ESCAPED_KEY = r'\\.(?:[^"\\]|\\.)*"\s*:'
_NOT_JSON = r"[:,\[]\s*-?(?:[nN][aA]|[iI][nN])|,\s*[}\]]"
_NOT_AN_OBJECT = r"^\s*(?:[^{\s]|$)"


@dataclass(frozen=True, slots=True)
class Suspects:
    any: str  # odd or repeated: what most lines are spared of with one scan
    odd: str  # must be read carefully, whatever else is said of the line
    objects: tuple[str, ...]  # paths of the objects in which a key may be repeated; '' is the row itself


def suspects(numbers: Iterable[str], texts: Iterable[str]) -> Suspects:
    """The expressions for a mapping that reads these paths as numbers and those as text."""
    text_paths = tuple(dict.fromkeys(texts))
    number_paths = tuple(path for path in dict.fromkeys(numbers) if path not in text_paths)
    odd = [_NOT_AN_OBJECT, _ESCAPED_KEY, _NOT_JSON]
    if number_paths:
        odd.append(rf"{_keys(path.split('.')[-1] for path in number_paths)}\s*:\s*-?(?:{_LONG_FRACTION})")
    if text_paths:
        odd.append(
            rf"{_keys(path.split('.')[-1] for path in text_paths)}\s*:\s*"
            rf"(?:[\[{{]|-0|-?(?:{_LONG_FRACTION}|{_NOT_AS_WRITTEN}))"
        )
    paths = (*text_paths, *number_paths)
    names = dict.fromkeys(name for path in paths for name in path.split("."))
    repeated = [rf'"{re.escape(name)}"\s*:.*"{re.escape(name)}"\s*:' for name in names]
    parents = dict.fromkeys(path.rpartition(".")[0] for path in paths)
    inner = {".".join(path.split(".")[:depth]) for path in parents if path for depth in range(len(path.split(".")))}
    return Suspects("|".join(odd + repeated), "|".join(odd), tuple(sorted({"", *parents, *inner})))


def _keys(names: Iterable[str]) -> str:
    return f'"(?:{"|".join(re.escape(name) for name in dict.fromkeys(names))})"'
