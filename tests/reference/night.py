"""A night from its files to its tables (SPEC §8): the reference's one way in.

`bill(workspace, nights, lands)` runs all nights over a workspace that lies complete on disk;
`Reference(workspace).run(as_of)` runs one, for workspaces whose files change in between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.reference.catalogue import Catalogue, read_catalogue
from tests.reference.exact import Refusal
from tests.reference.ledger import FUTURE_ALLOWANCE, RETRIED, Entry, Held, judge
from tests.reference.lines import CREDIT_PREFIX, Book, Close, Line, credit_lines, grant, line_id, new_lines
from tests.reference.periods import Period, default_periods, default_terms, is_default, month_of, open_periods
from tests.reference.rating import Context, Owed, Rated, is_before_book, owed_now, state_without_period
from tests.reference.reading import RawRow, files_below, matches, rows_of, sha256

Table = list[dict[str, Any]]


@dataclass
class Books:
    """The tables of SPEC §8 after the last night, exact amounts as fractions."""

    ledger: Table = field(default_factory=list)
    daily_refresh: Table = field(default_factory=list)
    periods: Table = field(default_factory=list)
    charges: Table = field(default_factory=list)
    invoice_items: Table = field(default_factory=list)
    credits: Table = field(default_factory=list)
    quarantine: Table = field(default_factory=list)
    files: Table = field(default_factory=list)

    @property
    def tables(self) -> dict[str, Table]:
        return dict(self.__dict__)


@dataclass
class _File:
    """What is known of a file under one source, or under none."""

    sha256: str
    landed_at: datetime
    outcomes: dict[int, str] = field(default_factory=dict)


def bill(workspace: Path, nights: Iterable[datetime], lands: Mapping[str, datetime] | None = None) -> Books:
    """Runs the nights; `lands` says when a file (its path below raw/) is there, all others are from the start."""
    reference = Reference(workspace)
    books = Books()
    for as_of in nights:
        hidden = {name for name, at in (lands or {}).items() if at > as_of}
        books = reference.run(as_of, hidden)
    return books


class Reference:
    """The state kept from night to night: ledger, held rows, files, and the two books."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.entries: list[Entry] = []
        self.contents: dict[str, str] = {}
        self.held: dict[tuple[str, str, int], Held] = {}
        self.files: dict[tuple[str, str | None], _File] = {}
        self.books = {name: Book(name) for name in ("shadow", "live")}
        self.as_ofs: list[datetime] = []
        self.tables = Books()

    def run(self, as_of: datetime, hidden: Collection[str] = ()) -> Books:
        """SPEC §9 `nightly`, without gate and push: land, compute, bill the difference."""
        if self.as_ofs and as_of < self.as_ofs[-1]:
            raise Refusal(f"as_of {as_of} is before the last run's {self.as_ofs[-1]}: give a later one")
        catalogue = read_catalogue(self.workspace)
        rows = self._new_rows(catalogue, as_of, hidden)
        self.as_ofs.append(as_of)
        self._land(rows, catalogue, as_of)
        book = self.books[catalogue.settings.mode]
        owed = self._bill(book, catalogue, as_of)
        self.tables = self._tables(book, catalogue, owed, as_of)
        return self.tables

    @property
    def night(self) -> int:
        return len(self.as_ofs)

    # --- landing ---------------------------------------------------------------------------------------------------

    def _new_rows(self, catalogue: Catalogue, as_of: datetime, hidden: Collection[str]) -> list[RawRow]:
        """SPEC §1: files are only ever added; a landed one may go away, never change."""
        raw = self.workspace / "raw"
        rows: list[RawRow] = []
        changes: dict[tuple[str, str | None], _File | None] = {}
        for name in files_below(raw):
            if name in hidden:
                continue
            digest = sha256(raw / name)
            read = [file for (known, source), file in self.files.items() if known == name and source is not None]
            if any(file.sha256 != digest for file in read):
                raise Refusal(f"{name} has changed since it landed: put the landed bytes back and add a further file")
            sources = [source for source in catalogue.sources.values() if matches(source.files, name)]
            if not sources and not read:
                changes[name, None] = _File(digest, as_of)
            # SPEC §2: landed_at is the as_of of the run that first read the row's file.
            landed_at = min((file.landed_at for file in read), default=as_of)
            for source in sources:
                if (name, source.name) not in self.files:
                    changes[name, None] = None
                    changes[name, source.name] = _File(digest, landed_at)
                    rows += rows_of(raw / name, name, source, landed_at)
        for key, file in changes.items():
            if file is None:
                self.files.pop(key, None)
            else:
                self.files[key] = file
        return rows

    def _land(self, rows: list[RawRow], catalogue: Catalogue, as_of: datetime) -> None:
        """SPEC §2: tonight's rows and those held for a reason that may have gone."""
        tried_again = [
            held for held in self.held.values() if held.reason in RETRIED and held.row.source in catalogue.sources
        ]
        verdicts = judge(
            [*rows, *(held.row for held in tried_again)],
            self.contents,
            catalogue,
            as_of,
            self.night,
            {key: held.first_seen for key, held in self.held.items()},
        )
        for held in tried_again:
            del self.held[held.row.source, held.row.raw_file, held.row.raw_line]
        for held in verdicts.held:
            self.held[held.row.source, held.row.raw_file, held.row.raw_line] = held
        for (source, raw_file, raw_line), outcome in verdicts.outcome.items():
            self.files[raw_file, source].outcomes[raw_line] = outcome
        self.entries += verdicts.entries
        self.contents.update((entry.event_key, entry.content) for entry in verdicts.entries)

    # --- billing ---------------------------------------------------------------------------------------------------

    def _periods(self, book: Book, catalogue: Catalogue, as_of: datetime) -> list[Period]:
        """SPEC §3: the closed ones as they closed, the open ones by tonight's account files."""
        closed: dict[str, list[tuple[datetime, datetime]]] = {}
        for close in book.closes.values():
            closed.setdefault(close.period.subscription_id, []).append((close.period.start, close.period.end))
        periods = [close.period for close in book.closes.values()]
        horizon = as_of + FUTURE_ALLOWANCE
        for subscription_id, terms in catalogue.terms.items():
            periods += open_periods(terms, catalogue, closed.get(subscription_id, []), horizon)
        starts_of_subscriptions = {
            (period.account_id, period.start) for period in periods if not is_default(period.subscription_id)
        }
        falls_in: dict[str, list[datetime]] = {}
        for entry in self.entries:
            if is_default(entry.subscription_id):
                falls_in.setdefault(entry.account_id, []).append(entry.occurred_at)
        if catalogue.settings.default_plan is not None:
            for account_id, period_start in catalogue.baselines:
                # SPEC §5: of two periods on one instant a baseline names the subscription's.
                if (account_id, period_start) not in starts_of_subscriptions:
                    zone = catalogue.accounts[account_id].zone
                    if month_of(period_start, zone)[0] == period_start:
                        falls_in.setdefault(account_id, []).append(period_start)
        for account_id, instants in falls_in.items():
            if account_id in catalogue.accounts and catalogue.settings.default_plan is not None:
                fixed = closed.get(f"default:{account_id}", [])
                periods += default_periods(account_id, instants, catalogue, fixed)
        return sorted(periods)

    def _context(self, period: Period, book: Book, catalogue: Catalogue, periods: list[Period]) -> Context:
        """SPEC §3: a closed period keeps catalogue, terms and baseline of its close."""
        if period.key in book.closes:
            return book.closes[period.key].context
        baseline = catalogue.baselines.get((period.account_id, period.start))
        if is_default(period.subscription_id):
            plan = catalogue.settings.default_plan
            terms = default_terms(period.account_id, plan) if plan else ()
            if any(
                other.start == period.start
                and other.account_id == period.account_id
                and not is_default(other.subscription_id)
                for other in periods
            ):
                baseline = None
        else:
            terms = catalogue.terms[period.subscription_id]
        if is_before_book(period, catalogue.settings):
            baseline = None
        return Context(catalogue, terms, baseline, catalogue.accounts[period.account_id].currency)

    def _bill(self, book: Book, catalogue: Catalogue, as_of: datetime) -> dict[Period, Owed]:
        """SPEC §§3-6: per period the new lines, in the order of start and subscription; then the closes."""
        periods = self._periods(book, catalogue, as_of)
        self._withdraw_vanished(book, catalogue, periods, as_of)
        grant(catalogue.grants, book, as_of)
        entries_of: dict[str, list[Entry]] = {}
        entries_by_account: dict[str, list[Entry]] = {}
        for entry in self.entries:
            entries_of.setdefault(entry.subscription_id, []).append(entry)
            entries_by_account.setdefault(entry.account_id, []).append(entry)
        every: dict[Period, Owed] = {}
        for period in periods:
            context = self._context(period, book, catalogue, periods)
            closing = period.key not in book.closes and period.end + catalogue.settings.close_grace <= as_of
            if closing:
                context = replace(context, closed_night=self.night)
            rows = [entry for entry in entries_of.get(period.subscription_id, []) if period.holds(entry.occurred_at)]
            owed = owed_now(
                period,
                context,
                rows,
                entries_by_account.get(period.account_id, []),
                as_of,
                closing or period.key in book.closes,
            )
            every[period] = owed
            if period.start > as_of:
                continue
            lines = new_lines(owed, book, closing, as_of, self.night)
            book.lines += lines
            book.lines += credit_lines(lines, catalogue.grants, book, as_of, self.night)
            book.periods.update((line.period.key, line.period) for line in lines)
            if closing:
                row = self._period_row(owed, book, as_of)
                book.closes[period.key] = Close(period, context, row)
        return every

    def _withdraw_vanished(self, book: Book, catalogue: Catalogue, periods: list[Period], as_of: datetime) -> None:
        """SPEC intro, §3: bounds of an open period moved away; what was billed under the old start owes nothing now."""
        standing = {period.key for period in periods}
        for key, period in sorted(book.periods.items(), key=lambda item: item[1]):
            billed = book.billed_minor(period)
            if key not in standing and billed:
                currency = next(line.currency for line in book.lines if line.period.key == key)
                book.lines.append(
                    Line(
                        period,
                        "overage",
                        "adjustment",
                        -billed,
                        currency,
                        None,
                        as_of,
                        self.night,
                        "shadow" if book.name == "shadow" else "pending",
                    )
                )

    # --- tables ----------------------------------------------------------------------------------------------------

    def _period_row(self, owed: Owed, book: Book, closed_at: datetime | None) -> dict[str, Any]:
        period = owed.period
        return {
            "account_id": period.account_id,
            "subscription_id": period.subscription_id,
            "plan": owed.plan,
            "period_start": period.start,
            "period_end": period.end,
            "state": "closed" if closed_at else "open",
            "currency": owed.context.currency,
            "baseline": owed.baseline,
            "usage": owed.usage,
            "refresh": owed.refresh,
            "effective": owed.effective,
            "included": owed.included,
            "overage": owed.overage,
            "metered": sum((amount for _, amount in owed.metered.values()), Fraction(0)),
            "minimum": owed.minimum,
            "owed": owed.total,
            "billed_minor": book.billed_minor(period),
            "closed_at": closed_at,
        }

    def _tables(self, book: Book, catalogue: Catalogue, every: dict[Period, Owed], as_of: datetime) -> Books:
        """SPEC §8: what readers open."""
        begun = [owed for period, owed in every.items() if period.start <= as_of]
        return Books(
            ledger=self._ledger(every, catalogue),
            daily_refresh=[
                {
                    "subscription_id": owed.period.subscription_id,
                    "period_start": owed.period.start,
                    "window_start": window.start,
                    "usage": window.usage,
                    "allowance": window.allowance,
                    "refresh": window.refresh,
                }
                for owed in begun
                for window in owed.windows
            ],
            periods=[
                book.closes[owed.period.key].row
                if owed.period.key in book.closes
                else self._period_row(owed, book, None)
                for owed in begun
            ],
            charges=[
                {
                    "subscription_id": owed.period.subscription_id,
                    "period_start": owed.period.start,
                    "charge": charge,
                    "quantity": quantity,
                    "owed": amount,
                    "billed_minor": book.billed_minor(owed.period, charge),
                }
                for owed in begun
                for charge, (quantity, amount) in owed.charges.items()
            ],
            invoice_items=[_item(line) for line in book.lines],
            credits=list(book.credits),
            quarantine=[
                {
                    "source": held.row.source,
                    "raw_file": held.row.raw_file,
                    "raw_line": held.row.raw_line,
                    "reason": held.reason,
                    "detail": held.detail,
                    "quantity": held.quantity,
                    "cost": held.cost,
                    "first_seen": held.first_seen,
                    "raw_text": held.row.raw_text,
                }
                for _, held in sorted(self.held.items())
            ],
            files=[
                _file_row(name, source, file)
                for (name, source), file in sorted(self.files.items(), key=lambda item: (item[0][0], item[0][1] or ""))
            ],
        )

    def _ledger(self, every: dict[Period, Owed], catalogue: Catalogue) -> Table:
        seen: dict[str, tuple[Owed, Rated]] = {}
        for owed_of_period in every.values():
            for rated in owed_of_period.rows:
                seen[rated.entry.event_key] = (owed_of_period, rated)
        table = []
        for entry in self.entries:
            # A row whose period the account files have taken away since belongs to none.
            owed, row = seen.get(entry.event_key, (None, None))
            period = owed.period if owed else None
            account = catalogue.accounts.get(entry.account_id)
            currency = owed.context.currency if owed else account.currency if account else None
            amount = entry.cost if entry.cost is not None else row.pooled if row else None
            table.append(
                {
                    "event_key": entry.event_key,
                    "source": entry.source,
                    "account_id": entry.account_id,
                    "subscription_id": entry.subscription_id,
                    "actor": entry.actor,
                    "period_start": period.start if period else None,
                    "period_end": period.end if period else None,
                    "occurred_at": entry.occurred_at,
                    "landed_at": entry.landed_at,
                    "meter": entry.meter,
                    "quantity": entry.quantity,
                    "amount": amount,
                    "currency": currency,
                    "state": row.state if row else state_without_period(entry),
                    "counted_in_baseline": row.counted_in_baseline if row else False,
                    "context": entry.context,
                    "raw_file": entry.raw_file,
                    "raw_line": entry.raw_line,
                }
            )
        return table


def _item(line: Line) -> dict[str, Any]:
    return {
        "line_id": line_id(line),
        "account_id": line.period.account_id,
        "subscription_id": line.period.subscription_id,
        "period_start": line.period.start,
        "period_end": line.period.end,
        "charge": line.charge,
        "reason": line.reason,
        "amount_minor": line.amount_minor,
        "currency": line.currency,
        "quantity": line.quantity,
        "description": None,
        "created_as_of": line.created_as_of,
        "state": line.state,
        "state_reason": None,
        "stripe_id": None,
        "is_credit": line.charge.startswith(CREDIT_PREFIX),
    }


def _file_row(name: str, source: str | None, file: _File) -> dict[str, Any]:
    found = list(file.outcomes.values())
    return {
        "raw_file": name,
        "source": source,
        "rows": len(found),
        "accepted": found.count("accepted"),
        "duplicate": found.count("duplicate"),
        "ignored": found.count("ignored"),
        "quarantined": found.count("quarantined"),
        "sha256": file.sha256,
    }
