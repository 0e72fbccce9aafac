"""The difference as invoice lines, the credits that meet them, and what a close fixes (SPEC §§3, 6, 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any

from tests.reference.catalogue import FOREVER, Grant
from tests.reference.exact import major, rounded_minor
from tests.reference.periods import Period
from tests.reference.rating import Context, Owed

CREDIT_PREFIX = "credit:"


@dataclass(frozen=True)
class Line:
    period: Period
    charge: str
    reason: str
    amount_minor: int
    currency: str
    quantity: Fraction | None
    created_as_of: datetime
    night: int
    state: str


@dataclass(frozen=True)
class Close:
    """A closed period: fixed bounds, what it is reckoned with ever after, and its row as it stood."""

    period: Period
    context: Context
    row: dict[str, Any]


@dataclass
class Book:
    """One of the two books over one ledger, shadow or live (SPEC §7)."""

    name: str
    closes: dict[tuple[str, datetime], Close] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    periods: dict[tuple[str, datetime], Period] = field(default_factory=dict)  # every period ever billed
    credits: list[dict[str, Any]] = field(default_factory=list)

    def billed_minor(self, period: Period, charge: str | None = None) -> int:
        """What was already billed for a charge, or for all charges, credits aside."""
        return sum(
            line.amount_minor
            for line in self.lines
            if line.period.key == period.key
            and not line.charge.startswith(CREDIT_PREFIX)
            and charge in (None, line.charge)
        )

    def moved_minor(self, grant_id: str, *kinds: str) -> int:
        return sum(it["amount_minor"] for it in self.credits if it["grant_id"] == grant_id and it["kind"] in kinds)

    def left_minor(self, grant: Grant) -> int:
        """What the account files grant less what was used of it and what has lapsed."""
        return grant.amount_minor + self.moved_minor(grant.grant_id, "use", "expire")

    def move(self, grant: Grant, kind: str, amount_minor: int, at: datetime, line: Line | None = None) -> None:
        balance = self.moved_minor(grant.grant_id, "grant", "use", "expire")
        self.credits.append(
            {
                "grant_id": grant.grant_id,
                "account_id": grant.account_id,
                "kind": kind,
                "amount_minor": amount_minor,
                "balance_before": balance,
                "balance_after": balance + amount_minor,
                "line_id": line_id(line) if line else None,
                "at": at,
            }
        )


def reason_for(owed: Owed, book: Book, closing: bool) -> str:
    if owed.period.key in book.closes:
        return "adjustment"
    return "close" if closing else "threshold"


def new_lines(owed: Owed, book: Book, closing: bool, as_of: datetime, night: int) -> list[Line]:
    """SPEC §6: per charge, the rounded total less what was billed; an open period bills overage past its threshold."""
    reason = reason_for(owed, book, closing)
    lines = []
    billable = {
        charge: amounts
        for charge, amounts in owed.charges.items()
        if reason != "threshold" or (charge == "overage" and _reaches_threshold(owed, book))
    }
    if reason != "threshold":
        # A charge billed before and gone since owes nothing now.
        for line in book.lines:
            if line.period.key == owed.period.key and not line.charge.startswith(CREDIT_PREFIX):
                billable.setdefault(line.charge, (None, Fraction(0)))
    for charge, (quantity, amount) in billable.items():
        currency = owed.context.currency
        difference = rounded_minor(amount, currency) - book.billed_minor(owed.period, charge)
        if difference:
            lines.append(_line(owed.period, charge, reason, difference, currency, quantity, as_of, night, book))
    return lines


def _reaches_threshold(owed: Owed, book: Book) -> bool:
    """SPEC §6: owed − billed ≥ threshold, before rounding."""
    if owed.threshold is None:
        return False
    return owed.overage - major(book.billed_minor(owed.period, "overage"), owed.context.currency) >= owed.threshold


def _line(
    period: Period,
    charge: str,
    reason: str,
    amount_minor: int,
    currency: str,
    quantity: Fraction | None,
    as_of: datetime,
    night: int,
    book: Book,
) -> Line:
    state = "shadow" if book.name == "shadow" else "pending"
    return Line(period, charge, reason, amount_minor, currency, quantity, as_of, night, state)


def credit_lines(lines: list[Line], grants: tuple[Grant, ...], book: Book, as_of: datetime, night: int) -> list[Line]:
    """SPEC §6: the positive net of a period's new lines is met from the account's grants of its currency."""
    if not lines:
        return []
    period, reason, currency = lines[0].period, lines[0].reason, lines[0].currency
    net = sum(line.amount_minor for line in lines)
    met = []
    for grant in usable(grants, period.account_id, currency, as_of):
        if net <= 0:
            break
        taken = min(net, book.left_minor(grant))
        if taken > 0:
            net -= taken
            line = _line(period, CREDIT_PREFIX + grant.grant_id, reason, -taken, currency, None, as_of, night, book)
            book.move(grant, "use", -taken, as_of, line)
            met.append(line)
    return met


def usable(grants: tuple[Grant, ...], account_id: str, currency: str, as_of: datetime) -> list[Grant]:
    """SPEC §6: granted_at ≤ as_of < expires_at, by priority, earliest expiry, granted_at, grant_id."""
    return sorted(
        (
            grant
            for grant in grants
            if grant.account_id == account_id
            and grant.currency == currency
            and grant.granted_at <= as_of < grant.expires_at
        ),
        key=lambda grant: (grant.priority, grant.expires_at, grant.granted_at, grant.grant_id),
    )


def grant(grants: tuple[Grant, ...], book: Book, as_of: datetime) -> None:
    """SPEC §8 `credits`: what was granted, also what was added to it since, and what has lapsed."""
    for it in grants:
        if it.granted_at > as_of:
            continue
        is_new = not any(move["grant_id"] == it.grant_id for move in book.credits)
        added = it.amount_minor - book.moved_minor(it.grant_id, "grant")
        if is_new or added > 0:
            book.move(it, "grant", added, it.granted_at if is_new else as_of)
        left = book.moved_minor(it.grant_id, "grant", "use", "expire")
        if it.expires_at <= as_of and it.expires_at != FOREVER and left > 0:
            book.move(it, "expire", -left, it.expires_at)


def line_id(line: Line) -> str:
    """An id of the reference's own: the same files at the same as_ofs give the same one."""
    return "|".join(
        (
            line.period.subscription_id,
            line.period.start.isoformat(),
            line.charge,
            line.reason,
            line.created_as_of.isoformat(),
            line.state,
        )
    )
