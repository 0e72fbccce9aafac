"""How a mistake is told: one sentence with the place, what is wrong and what to write instead."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from difflib import get_close_matches

from assets.core.instants import format_instant

# What a refusal is called that keeps a closed period as it is (SPEC section 3).
PERIOD_LOCKED = "BILLING_PERIOD_LOCKED"


class Problems:
    """The mistakes found so far, and the warnings that do not stop a run."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self.warnings: list[str] = []

    def add(self, place: object, wrong: str, advice: str) -> None:
        self.mistakes.append(sentence(place, wrong, advice))

    def warn(self, place: object, odd: str, advice: str) -> None:
        self.warnings.append(sentence(place, odd, advice))

    def __len__(self) -> int:
        return len(self.mistakes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.mistakes)


def sentence(place: object, wrong: str, advice: str) -> str:
    return f"{place} {wrong}; {advice}{'' if advice.endswith('?') else '.'}"


def no_version(place: str, plan: str, start: datetime, file: str = "plans.yaml") -> str:
    """Of a plan that serves a period from before its first version on."""
    at = format_instant(start)
    wrong = f"plan {shown(plan)} has no version at {at}, the start of a period it serves"
    return sentence(place, wrong, f"add one to {file} with `from: {at}` or earlier")


def shown(text: str) -> str:
    """A value as a sentence shows it: quoted, on one line, not too long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def suggestion(wrong: str, known: Collection[str], otherwise: str) -> str:
    """`did you mean …?` where a known name is near, else what to do without one."""
    near = get_close_matches(wrong, known, n=1, cutoff=0.6) if len(wrong) <= 200 else []
    folded = {name.casefold(): name for name in known}
    if not near and wrong.strip().casefold() in folded:
        near = [folded[wrong.strip().casefold()]]
    return f"did you mean {shown(near[0])}?" if near else otherwise


def listed(names: Collection[str], word: str = "or") -> str:
    """`a`, `a or b`, `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last
