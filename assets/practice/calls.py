"""The log of calls: what came, when, and how it ended. In memory only, and never with a key in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SECRET = re.compile(r"((?:sk|rk)_(?:live|test)_)[^\s\"']+")


@dataclass(slots=True)
class Call:
    number: int
    at: int  # by the virtual clock
    started: float  # by the monotonic one, in seconds
    method: str
    path: str
    headers: Mapping[str, str]
    params: dict[str, Any] = field(default_factory=dict)  # nested, as text
    key: str | None = None
    customer: str | None = None
    is_live: bool | None = None
    ended: float | None = None
    status: int | None = None  # None: no answer went out
    is_replayed: bool = False
    faults: list[str] = field(default_factory=list)
    made: str | None = None  # the id in the answer, which may not have gone out
    request_id: str = ""


def without_secret(headers: Mapping[str, str]) -> dict[str, str]:
    """Header names in lower case; of a key only its kind and mode are kept."""
    told = {name.lower(): _SECRET.sub(r"\1***", value) for name, value in headers.items()}
    if "authorization" in told and "***" not in told["authorization"]:
        told["authorization"] = "***"
    return told
