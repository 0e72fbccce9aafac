"""Lines that no usage is behind: the minimum, credit, and what was billed for a period that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import duckdb

from assets.core.numbers import added, less
from assets.core.page import from_minor
from assets.explain.line import Line, as_line
from assets.rerate import rows


@dataclass(frozen=True, slots=True)
class Charged:
    """Another charge of the period, rounded as it is billed."""

    charge: str
    owed: Decimal
    owed_minor: int


@dataclass(frozen=True, slots=True)
class Minimum:
    plan: str
    minimum: Decimal
    others: tuple[Charged, ...]
    currency: str
    owed: Decimal

    @property
    def others_total(self) -> Decimal:
        return added(from_minor(it.owed_minor, self.currency) for it in self.others)

    def disagreements(self) -> Iterator[str]:
        if self.owed != max(less(self.minimum, self.others_total), Decimal()):
            yield "the minimum less the other charges is not what is owed"


def minimum(con: duckdb.DuckDBPyConnection, line: Line) -> Minimum:
    (figures,) = rows(con, "SELECT plan, minimum FROM night.int_periods__figures")
    charges = rows(
        con, "SELECT charge, owed, owed_minor FROM night.int_charges__owed ORDER BY charge <> 'overage', charge"
    )
    return Minimum(
        plan=figures["plan"],
        minimum=figures["minimum"],
        others=tuple(Charged(**it) for it in charges if it["charge"] != "minimum"),
        currency=line.currency,
        owed=added(it["owed"] for it in charges if it["charge"] == "minimum"),
    )


@dataclass(frozen=True, slots=True)
class Vanished:
    """The account files no longer have the period, and it was never closed: it owes nothing."""

    owed: Decimal = Decimal(0)

    def disagreements(self) -> Iterator[str]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Credit:
    grant_id: str
    lines: tuple[Line, ...]  # what the night billed for the period, for the same reason
    others: tuple[Line, ...]  # credit of other grants that met it
    balance_before: int
    balance_after: int
    used_minor: int
    is_lowered: bool  # in the files: what is left in the books could not all be used

    @property
    def net_minor(self) -> int:
        return sum(it.amount_minor for it in self.lines)

    @property
    def met_minor(self) -> int:
        """Of the net, what the other grants met."""
        return -sum(it.amount_minor for it in self.others)

    def disagreements(self) -> Iterator[str]:
        if self.balance_before - self.used_minor != self.balance_after or self.balance_after < 0:
            yield "the balance of the grant does not go down by what was used"
        if self.met_minor + self.used_minor > self.net_minor:
            yield "more credit was used than the period's new lines come to"
        if self.balance_after and not self.is_lowered and self.met_minor + self.used_minor != self.net_minor:
            yield "credit was left over and the period's new lines were not met"


def credit(con: duckdb.DuckDBPyConnection, line: Line) -> Credit:
    night = rows(
        con,
        """FROM warehouse.books.lines
        WHERE (book, subscription_id, period_start) = (?, ?, ?) AND (created_as_of, reason) = (?, ?)
        ORDER BY charge <> 'overage', charge, line_id""",
        [*line.period, line.created_as_of, line.reason],
    )
    moved = rows(con, "FROM warehouse.books.credits WHERE line_id = ? AND kind = 'use'", [line.line_id])
    lines = tuple(map(as_line, night))
    grant_id = line.grant_id or line.charge.removeprefix("credit:")
    (told,) = rows(
        con,
        """SELECT coalesce(max(told.amount_minor), 0) < sum(moved.amount_minor) AS is_lowered
        FROM warehouse.books.credits AS moved LEFT JOIN warehouse.catalog.credit_grants AS told USING (grant_id)
        WHERE (moved.book, moved.grant_id, moved.kind) = (?, ?, 'grant')""",
        [line.book, grant_id],
    )
    return Credit(
        grant_id=grant_id,
        lines=tuple(it for it in lines if it.grant_id is None),
        others=tuple(it for it in lines if it.grant_id is not None and it.line_id != line.line_id),
        balance_before=sum(it["balance_before"] for it in moved),
        balance_after=sum(it["balance_after"] for it in moved),
        used_minor=-sum(it["amount_minor"] for it in moved),
        is_lowered=told["is_lowered"],
    )
