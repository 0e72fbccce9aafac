"""Form bodies and query strings as Stripe reads them: `period[start]=1&expand[0]=customer` is nested."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from assets.practice.errors import invalid

Nested: TypeAlias = "dict[str, Any]"  # str -> str or Nested

_NAME = re.compile(r"[^\[\]]+(?:\[[^\[\]]*\])*")


def pairs_of(encoded: str) -> list[tuple[str, str]]:
    return parse_qsl(encoded, keep_blank_values=True)


def nested(pairs: Iterable[tuple[str, str]]) -> Nested:
    """Lists come out as dicts whose keys are 0, 1, …: only who knows the parameter knows that it is a list."""
    tree: Nested = {}
    for name, value in pairs:
        if _NAME.fullmatch(name) is None:
            raise invalid(f"Invalid parameter name: {name}. Square brackets can only nest names.", name)
        head, *rest = re.split(r"\]?\[", name.removesuffix("]") if "[" in name else name)
        node, path = tree, [head, *rest]
        for step, key in enumerate(path):
            key = key or str(len(node))  # a[]=x&a[]=y
            if step == len(path) - 1:
                if isinstance(node.get(key), dict):
                    raise invalid("Invalid hash", name)
                node[key] = value
            else:
                node = node.setdefault(key, {})
                if not isinstance(node, dict):
                    raise invalid("Invalid hash", name)
    return tree
