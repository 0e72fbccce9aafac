"""The one way a person's mistake stops a run: every problem found, each a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterable


class Refusal(Exception):
    """A run refused before it wrote anything; `problems` holds one sentence for each mistake."""

    kind = "refused"
    problems: tuple[str, ...]

    def __init__(self, problems: Iterable[str] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))

    @property
    def facts(self) -> dict[str, object]:
        """The same for a program, where there is more than a sentence to say."""
        return {}
