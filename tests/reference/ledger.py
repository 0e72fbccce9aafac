"""Which rows land, whose they are, and what is held (SPEC §2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from tests.reference.catalogue import Catalogue, Settings
from tests.reference.reading import RawRow, Reading, Usage, read_row

FUTURE_ALLOWANCE = timedelta(minutes=5)
RETRIED = frozenset(("future", "unknown_meter", "unknown_account", "no_payer"))
DEFAULT_PREFIX = "default:"


@dataclass(frozen=True)
class Entry:
    """A ledger row: never changed once it is there."""

    event_key: str
    content: str
    source: str
    meter: str
    account_id: str
    subscription_id: str
    named_account: bool
    actor: str | None
    occurred_at: datetime
    landed_at: datetime
    quantity: Fraction
    cost: Fraction | None
    context: Mapping[str, str] | None
    raw_file: str
    raw_line: int
    entered_night: int
    entered_under: Settings  # the settings of the night it landed


@dataclass(frozen=True)
class Held:
    """A row in quarantine."""

    row: RawRow
    reason: str
    detail: str
    quantity: Fraction | None
    cost: Fraction | None
    first_seen: datetime


@dataclass
class _Candidate:
    row: RawRow
    reading: Reading
    account_id: str
    subscription_id: str

    @property
    def place(self) -> tuple[str, int]:
        return self.row.raw_file, self.row.raw_line

    @property
    def precedence(self) -> tuple[datetime, str, str, int]:
        """SPEC §2: among rows in conflict the earliest, then the smallest content hash of the first usage."""
        assert self.reading.occurred_at is not None
        return (self.reading.occurred_at, self.reading.usages[0].content, *self.place)


@dataclass(frozen=True)
class Verdicts:
    """What became of the rows of one night."""

    entries: list[Entry]
    held: list[Held]
    outcome: dict[tuple[str, str, int], str]  # by source, file and line


def judge(
    rows: Iterable[RawRow],
    known: Mapping[str, str],
    catalogue: Catalogue,
    as_of: datetime,
    night: int,
    first_seen: Mapping[tuple[str, str, int], datetime],
) -> Verdicts:
    """SPEC §2: every row ends as exactly one of accepted, duplicate, ignored, quarantined, whole or not at all.

    `known` is the content behind every event key of the ledger.
    """
    verdicts = Verdicts([], [], {})
    candidates: list[_Candidate] = []
    for row in rows:
        source = catalogue.sources.get(row.source)
        reading = read_row(row, source, catalogue) if source else Reading(reason="malformed")
        if reading.ignored:
            verdicts.outcome[_id(row)] = "ignored"
            continue
        reason = reading.reason or _reason(reading, catalogue, as_of)
        if reason is not None:
            _hold(verdicts, row, reading, reason, as_of, first_seen)
            continue
        account_id = payer(reading, catalogue)
        subscription_id = subscription(account_id, reading.occurred_at, catalogue) if account_id else None
        if account_id is None or subscription_id is None:
            _hold(verdicts, row, reading, "no_payer", as_of, first_seen)
            continue
        candidates.append(_Candidate(row, reading, account_id, subscription_id))

    accepted = []
    tonight: dict[str, str] = {}
    for candidate in sorted(candidates, key=lambda candidate: candidate.precedence):
        if _conflicts(candidate.reading.usages, known, tonight):
            _hold(verdicts, candidate.row, candidate.reading, "key_conflict", as_of, first_seen)
        else:
            tonight.update((usage.event_key, usage.content) for usage in candidate.reading.usages)
            accepted.append(candidate)

    # SPEC §2: of rows with the same key and content, the one of the smallest file and line is the ledger's.
    taken: set[str] = set(known)
    for candidate in sorted(accepted, key=lambda candidate: candidate.place):
        verdicts.outcome[_id(candidate.row)] = "duplicate"
        for usage in candidate.reading.usages:
            if usage.event_key not in taken:
                taken.add(usage.event_key)
                verdicts.outcome[_id(candidate.row)] = "accepted"
                verdicts.entries.append(_entry(candidate, usage, night, catalogue.settings))
    return verdicts


def _reason(reading: Reading, catalogue: Catalogue, as_of: datetime) -> str | None:
    """SPEC §2: future, unknown_meter and unknown_account, in this order."""
    assert reading.occurred_at is not None
    if reading.occurred_at > as_of + FUTURE_ALLOWANCE:
        return "future"
    if any(usage.meter not in catalogue.meters for usage in reading.usages):
        return "unknown_meter"
    if reading.account is not None and reading.account not in catalogue.accounts:
        return "unknown_account"
    return None


def payer(reading: Reading, catalogue: Catalogue) -> str | None:
    """SPEC §2 "Payer": the row's own account; else, for its actor then, the best of its own and its organizations."""
    if reading.account is not None:
        return reading.account
    if reading.actor is None:
        return None
    at = reading.occurred_at
    assert at is not None
    asked = {reading.actor} | {
        membership.organization_id
        for membership in catalogue.memberships
        if membership.user_id == reading.actor and membership.joined_at <= at < membership.left_at
    }
    covered = []
    for account_id in asked & set(catalogue.accounts):
        terms = catalogue.terms_at(account_id, at)
        if terms is not None:
            is_user = catalogue.accounts[account_id].entity_type == "user"
            covered.append((-catalogue.plans[terms.plan].priority, is_user, account_id))
    if covered:
        return min(covered)[2]
    return reading.actor if reading.actor in catalogue.accounts and catalogue.settings.default_plan else None


def subscription(account_id: str, at: datetime | None, catalogue: Catalogue) -> str | None:
    """SPEC §2 "Subscription": the account's one covering the instant, else the default plan, else none."""
    assert at is not None
    terms = catalogue.terms_at(account_id, at)
    if terms is not None:
        return terms.subscription_id
    default = catalogue.settings.default_plan
    if default is None:
        return None
    # SPEC §1: accounts in another currency may not hold a plan that names one.
    currency = catalogue.plans[default].currency
    if currency is not None and currency != catalogue.accounts[account_id].currency:
        return None
    return DEFAULT_PREFIX + account_id


def _conflicts(usages: tuple[Usage, ...], known: Mapping[str, str], tonight: Mapping[str, str]) -> bool:
    """SPEC §2: the same key with other content, in the ledger, tonight, or in the row itself."""
    seen: dict[str, str] = {}
    for usage in usages:
        settled = known.get(usage.event_key, tonight.get(usage.event_key, seen.get(usage.event_key, usage.content)))
        if settled != usage.content:
            return True
        seen[usage.event_key] = usage.content
    return False


def _id(row: RawRow) -> tuple[str, str, int]:
    return row.source, row.raw_file, row.raw_line


def _hold(
    verdicts: Verdicts,
    row: RawRow,
    reading: Reading,
    reason: str,
    as_of: datetime,
    first_seen: Mapping[tuple[str, str, int], datetime],
) -> None:
    verdicts.outcome[_id(row)] = "quarantined"
    verdicts.held.append(Held(row, reason, "", reading.quantity, reading.cost, first_seen.get(_id(row), as_of)))


def _entry(candidate: _Candidate, usage: Usage, night: int, settings: Settings) -> Entry:
    reading, row = candidate.reading, candidate.row
    assert reading.occurred_at is not None
    return Entry(
        event_key=usage.event_key,
        content=usage.content,
        source=row.source,
        meter=usage.meter,
        account_id=candidate.account_id,
        subscription_id=candidate.subscription_id,
        named_account=reading.account is not None,
        actor=reading.actor,
        occurred_at=reading.occurred_at,
        landed_at=row.landed_at,
        quantity=usage.quantity,
        cost=usage.cost,
        context=reading.context,
        raw_file=row.raw_file,
        raw_line=row.raw_line,
        entered_night=night,
        entered_under=settings,
    )
