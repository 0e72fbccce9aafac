"""What a check found, whoever ran it: the one shape in which dbt's tests and expectations come to be judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Outcome: TypeAlias = Literal["passed", "failed", "raised", "waiting", "off"]


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    suite: str
    kind: str
    severity: str
    outcome: Outcome
    about: str
    detail: str | None = None  # why it waits, or what was raised
    because: str | None = None  # why it is off
    query: str | None = None  # finds the rows, where it failed
    shows: tuple[str, ...] = ()
    money: str = "at_stake"
    currency: str = "currency"
