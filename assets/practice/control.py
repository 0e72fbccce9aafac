"""The way in for tests and tools in other processes: `/_practice/…`, JSON both ways; and the page at `/`.

| call | does |
| --- | --- |
| GET /_practice/state | all objects by mode and kind |
| GET /_practice/calls?after=N | the log of calls, from the (N+1)th on |
| GET, POST, DELETE /_practice/faults | faults to come; more of them (one object or a list); none |
| GET, POST /_practice/clock | `{"now": …}`; POST `{"advance": seconds}` or `{"set": instant}` |
| GET, POST /_practice/settings | as in `ask.Settings` |
| POST /_practice/customers | `{"id": "cus_…", "name": …, "live": false}`: a customer with this id, unless it is there |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_type_hints
from urllib.parse import parse_qs

from assets.practice.answers import Answer
from assets.practice.ask import Settings
from assets.practice.faults import Fault
from assets.practice.page import POLICY, page

if TYPE_CHECKING:
    from assets.practice.practice import PracticeStripe


class Control:
    def __init__(self, practice: PracticeStripe) -> None:
        self._practice = practice
        self._ways: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", "state"): lambda _: practice.state(),
            ("GET", "calls"): lambda told: [asdict(call) for call in practice.calls[int(told.get("after", 0)) :]],
            ("GET", "faults"): lambda _: [asdict(fault) for fault in practice.faults.pending()],
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): lambda _: practice.faults.clear(),
            ("GET", "clock"): lambda _: {"now": practice.clock.now()},
            ("POST", "clock"): self._move_clock,
            ("GET", "settings"): lambda _: asdict(practice.settings),
            ("POST", "settings"): self._set,
            ("POST", "customers"): self._add_customer,
        }

    def answer(self, method: str, path: str, query: str, body: str, headers: Mapping[str, str]) -> Answer:
        if (method, path) == ("GET", "/"):
            kinds = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY}
            return Answer(200, page(self._practice), kinds)
        root, _, name = path.removeprefix("/").partition("/")
        way = self._ways.get((method, name)) if root == "_practice" else None
        if way is None:
            return _said(404, {"error": {"message": f"There is no {method} {path} here."}})
        try:
            told = json.loads(body) if body else {name: values[-1] for name, values in parse_qs(query).items()}
            return _said(200, way(told))
        except (ValueError, TypeError, AttributeError) as error:
            return _said(400, {"error": {"message": str(error)}})

    def _add_faults(self, told: Any) -> Any:
        faults = [Fault(**_typed(Fault, "a fault", each)) for each in (told if isinstance(told, list) else [told])]
        self._practice.faults.add(*faults)
        return [asdict(fault) for fault in self._practice.faults.pending()]

    def _move_clock(self, told: Any) -> Any:
        clock = self._practice.clock
        if told.keys() not in ({"advance"}, {"set"}):
            raise ValueError("tell the clock one of advance and set")
        return {"now": clock.advance(told["advance"]) if "advance" in told else clock.set(told["set"])}

    def _set(self, told: Any) -> Any:
        settings = self._practice.settings
        for name, value in _typed(Settings, "the settings", told).items():
            setattr(settings, name, value)
        return asdict(settings)

    def _add_customer(self, told: Any) -> Any:
        return self._practice.add_customer(**told)


def _typed(kind: type, noun: str, told: Any) -> dict[str, Any]:
    """What is told, if `kind` has fields of these names and types; ValueError names the first it has not."""
    hints = get_type_hints(kind)
    if not isinstance(told, dict):
        raise ValueError(f"tell {noun} as an object")
    for name, value in told.items():
        if name not in hints:
            raise ValueError(f"there is no {name} in {noun}; there are {', '.join(hints)}")
        if not isinstance(value, (int, float) if hints[name] is float else hints[name]):
            raise ValueError(f"{name} in {noun} can not be {json.dumps(value)}")
    return told


def _said(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body, indent=2))
