"""The careful reading of a JSON line, for the few lines that DuckDB's reader would not read exactly.

DuckDB sends numbers with a fraction through binary floating point, takes the first of repeated keys and accepts NaN
and trailing commas. `suspects` finds such lines; this rewrites them so that the same SQL reads them right: numbers
become text exactly as written, of repeated keys the last is kept, and what is not JSON becomes None (malformed).
"""

from __future__ import annotations

import json
from typing import NoReturn

# Whole numbers of up to this many characters stay numbers in a row's context; any JSON reader keeps them exact.
WHOLE_NUMBER_LENGTH = 18


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _whole(text: str) -> int | str:
    return text if len(text) > WHOLE_NUMBER_LENGTH or text == "-0" else int(text)


_DECODER = json.JSONDecoder(parse_float=str, parse_int=_whole, parse_constant=_refuse_constant)


def careful(line: str) -> str | None:
    """The object on the line with its numbers as text, or None where the line is no JSON object."""
    try:
        value = _DECODER.decode(line)
        if not isinstance(value, dict):
            return None
        text = json.dumps(value, ensure_ascii=False)
        text.encode()  # half of a surrogate pair is no character, and DuckDB's reader refuses it too
    except (ValueError, RecursionError):
        return None
    return text
