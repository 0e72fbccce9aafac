"""What a night says while it works: to whoever listens, and to nobody by default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Listener = Callable[[str, str, dict[str, Any]], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    _listeners.append(listener)


def tell(step: str, sentence: str, **facts: Any) -> None:
    """`sentence` is for a person, `facts` for a program."""
    for listener in _listeners:
        listener(step, sentence, facts)
