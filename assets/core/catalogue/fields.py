"""A YAML mapping read key by key as what each should be; what it is not becomes a problem and the default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias, TypeVar

from assets.core.catalogue.nodes import Node
from assets.core.catalogue.problems import Problems, listed, shown, suggestion
from assets.core.instants import parse_duration, parse_instant
from assets.core.numbers import NotExactError, exact, parse_currency

T = TypeVar("T")
C = TypeVar("C", bound=str)
Sign: TypeAlias = Literal["any", "zero or more", "more than zero"]


class Fields:
    """The entries of a node that should be a mapping with the known keys; null counts as absent."""

    def __init__(self, node: Node, known: Sequence[str], problems: Problems) -> None:
        self.node = node
        self.problems = problems
        self._known = known
        if node.kind not in ("map", "null"):
            problems.add(node, node.described(), f"write a mapping with {listed(known)}")
        for key, child in node.entries.items():
            if key not in known:
                problems.add(
                    child,
                    "is not a key that is known here",
                    suggestion(key, known, f"the keys are {listed(known, 'and')}"),
                )

    def get(self, key: str) -> Node | None:
        node = self.node.entries.get(key)
        return None if node is None or node.kind == "null" else node

    def has(self, key: str) -> bool:
        return self.get(key) is not None

    def need(self, key: str, advice: str) -> Node | None:
        """The entry that must be there."""
        node = self.get(key)
        if node is None and self.node.kind in ("map", "null"):
            self.problems.add(self.node, f"has no `{key}`", advice)
        return node

    def text(self, key: str) -> str | None:
        node = self.get(key)
        return None if node is None else text_of(node, self.problems)

    def choice(self, key: str, choices: Sequence[C], default: C) -> C:
        node = self.get(key)
        return default if node is None else choice_of(node, choices, self.problems) or default

    def flag(self, key: str, default: bool) -> bool:
        node = self.get(key)
        if node is None:
            return default
        if node.kind != "bool":
            self.problems.add(node, node.described(), "write true or false")
            return default
        return node.text.lower() == "true"

    def number(self, key: str, sign: Sign = "zero or more") -> Decimal | None:
        node = self.get(key)
        return None if node is None else number_of(node, self.problems, sign)

    def amount(self, key: str) -> Decimal:
        """Money, or a rate, of zero or more; zero where it is absent."""
        return self.number(key) or Decimal(0)

    def whole(self, key: str, default: int) -> int:
        node = self.get(key)
        if node is None:
            return default
        number = number_of(node, self.problems, "any")
        if number is not None and number != number.to_integral_value():
            self.problems.add(node, node.described(), "write a whole number")
        return default if number is None else int(number)

    def instant(self, key: str) -> datetime | None:
        return self._parsed(key, parse_instant, "write a timestamp with an offset such as 2026-01-01T00:00:00Z")

    def duration(self, key: str, default: timedelta) -> timedelta:
        advice = "write a whole number and one of s m h d w, such as 35d; a hundred years at most"
        found = self._parsed(key, parse_duration, advice)
        return default if found is None else found

    def currency(self, key: str) -> str | None:
        return self._parsed(key, parse_currency, "write three letters such as USD")

    def _parsed(self, key: str, parse: Callable[[str], T], advice: str) -> T | None:
        node = self.get(key)
        if node is None:
            return None
        try:
            if node.kind in ("text", "number"):
                return parse(node.text)
        except ValueError:
            pass
        self.problems.add(node, node.described(), advice)
        return None


def text_of(node: Node, problems: Problems) -> str | None:
    """A name or a field path: any scalar, as written, that is not empty and holds no control characters."""
    if node.kind not in ("text", "number", "bool"):
        problems.add(node, node.described(), "write a text")
    elif not node.text:
        problems.add(node, "is empty", "write a text")
    elif has_control(node.text):
        problems.add(node, f"{node.described()}, with a control character", "take it out")
    else:
        return node.text
    return None


def number_of(node: Node, problems: Problems, sign: Sign = "zero or more") -> Decimal | None:
    if node.kind not in ("number", "text"):
        problems.add(node, f"{node.described()} and not a number", "write a decimal such as 0.25")
        return None
    try:
        number = exact(node.text.strip())
    except NotExactError as error:
        if str(error) == "is not a number":
            wrong = f"is {shown(node.text)}, which is not a number"
            problems.add(node, wrong, "write digits with at most one point, such as 1000 or 0.25")
        else:
            problems.add(node, f"is {shown(node.text)}, which {error}", "write a shorter number")
        return None
    if (sign == "zero or more" and number < 0) or (sign == "more than zero" and number <= 0):
        problems.add(node, f"is {node.text}", f"write a number of {sign}" if number < 0 else f"write {sign}")
        return None
    return number


def choice_of(node: Node, choices: Sequence[C], problems: Problems) -> C | None:
    for choice in choices:
        if node.kind in ("text", "number", "bool") and node.text == choice:
            return choice
    advice = suggestion(node.text, choices, f"write {listed(choices)}")
    problems.add(node, node.described(), advice)
    return None


def texts_of(node: Node, problems: Problems, what: str) -> tuple[str, ...]:
    """A list of texts, at least one."""
    if node.kind != "list":
        problems.add(node, f"{node.described()} and not a list", f"write {what} in brackets")
        return ()
    if not node.items:
        problems.add(node, "is an empty list", f"write {what}")
    return tuple(text for item in node.items if (text := text_of(item, problems)) is not None)


def named_entries(root: Node | None, key: str, file: str, example: str, problems: Problems) -> dict[str, Node] | None:
    """The mapping of names below a file's one key; None where there is none to read."""
    if root is None:
        return None
    node = root.entries.get(key)
    if root.kind not in ("map", "null"):
        problems.add(file, root.described(), f"begin it with `{key}:`, such as {example}")
        return None
    if node is None or node.kind == "null":
        problems.add(file, f"has no `{key}`", f"write it, such as {example}")
        return None
    if node.kind != "map":
        problems.add(node, node.described(), f"write a mapping such as {example}")
        return None
    for name, child in node.entries.items():
        if not name:
            problems.add(child, "has an empty name", "write a name before the colon")
        elif has_control(name):
            problems.add(child, "has a control character in its name", "take it out")
    return node.entries


def has_control(text: str) -> bool:
    """Control characters separate what keys are made of, and hide in logs: none may be in a name or an id."""
    return not text.isprintable() and any(c < " " or "\x7f" <= c <= "\x9f" for c in text)
