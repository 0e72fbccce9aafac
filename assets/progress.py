"""What a night says while it works: to whoever listens, and to nobody by default.

All that is said has one name (`step`, the `event` of a JSON line), a sentence for a person, and for a program the
facts, among them the ids of what it is about: the night's always, and those of `about` while that lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Listener = Callable[[str, str, dict[str, Any]], None]
_listeners: list[Listener] = []
_about: dict[str, Any] = {}


def listen(listener: Listener) -> None:
    _listeners.append(listener)


@contextmanager
def about(listener: Listener | None = None, **ids: Any) -> Iterator[None]:
    """For a while all that is said carries these ids, and one more listens."""
    _about.update(ids)
    heard = [listener] if listener else []
    _listeners.extend(heard)
    try:
        yield
    finally:
        for name in ids:
            _about.pop(name, None)
        for one in heard:
            if one in _listeners:
                _listeners.remove(one)


def tell(step: str, sentence: str, **facts: Any) -> None:
    """`sentence` is for a person, `facts` for a program."""
    for listener in tuple(_listeners):
        listener(step, sentence, {**_about, **facts})


def warn(kind: str, sentence: str, **facts: Any) -> None:
    """A warning begins with what it is about, up to its first colon."""
    place, _, rest = sentence.partition(": ")
    tell("warning", sentence, kind=kind, **({"about": place} if rest else {}), **facts)
