"""What a period owes (SPEC §§4-5), in exact fractions, from the rows and from nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from tests.reference.catalogue import Catalogue, Charge, Meter, PlanVersion, Settings, Terms
from tests.reference.exact import major, rounded_minor, seconds
from tests.reference.ledger import Entry
from tests.reference.periods import Period

DAY = timedelta(hours=24)
ZERO = Fraction(0)


@dataclass(frozen=True)
class Context:
    """What a period is reckoned with: tonight's files while it is open, those of its close ever after (SPEC §3)."""

    catalogue: Catalogue
    terms: tuple[Terms, ...]
    baseline: Fraction | None
    currency: str
    closed_night: int | None = None

    @property
    def settings(self) -> Settings:
        return self.catalogue.settings

    def terms_at(self, at: datetime) -> Terms | None:
        return next((terms for terms in self.terms if terms.in_force(at)), None)

    def terms_in(self, period: Period) -> list[Terms]:
        return [terms for terms in self.terms if terms.starts_at < period.end and terms.ends_at > period.start]

    def version(self, plan: str, period: Period) -> PlanVersion:
        return self.catalogue.plans[plan].version_at(period.start)


@dataclass(frozen=True)
class Rated:
    """A ledger row as its period sees it."""

    entry: Entry
    plan: str | None
    state: str
    counted_in_baseline: bool
    pooled: Fraction | None  # the money it puts into the pool, None where its meter is not pooled


@dataclass(frozen=True)
class Window:
    start: datetime
    usage: Fraction
    allowance: Fraction
    refresh: Fraction


@dataclass
class Owed:
    """Everything a period owes now."""

    period: Period
    context: Context
    rows: list[Rated]
    windows: list[Window]
    plan: str | None
    baseline: Fraction
    usage: Fraction
    refresh: Fraction
    effective: Fraction
    included: Fraction
    overage: Fraction
    threshold: Fraction | None
    metered: dict[str, tuple[Fraction, Fraction]] = field(default_factory=dict)  # charge -> quantity, owed
    minimum: Fraction = ZERO
    has_minimum: bool = False

    @property
    def charges(self) -> dict[str, tuple[Fraction | None, Fraction]]:
        """Charge -> quantity, owed."""
        found: dict[str, tuple[Fraction | None, Fraction]] = {"overage": (None, self.overage), **self.metered}
        if self.has_minimum:
            found["minimum"] = (None, self.minimum)
        return found

    @property
    def total(self) -> Fraction:
        return sum((owed for _, owed in self.charges.values()), ZERO)


def owed_now(
    period: Period,
    context: Context,
    entries: list[Entry],
    account_entries: list[Entry],
    as_of: datetime,
    at_close: bool,
) -> Owed:
    """SPEC §4: what the period owes, reckoned anew from its rows (`at_close`: it is closing or closed)."""
    rows = [rate(entry, period, context) for entry in entries]
    windows = daily_refresh(period, context, rows, as_of)
    included = included_money(period, context)
    baseline = context.baseline or ZERO
    usage = sum(
        (
            row.pooled
            for row in rows
            if row.pooled is not None and row.state == "billable" and not row.counted_in_baseline
        ),
        ZERO,
    )
    refresh = sum((window.refresh for window in windows), ZERO)
    effective = max(ZERO, baseline + usage - refresh)
    in_force = context.terms_in(period)
    last = in_force[-1].plan if in_force else None
    version = context.version(last, period) if last else None
    overage = max(ZERO, effective - included) if version and version.overage else ZERO
    owed = Owed(
        period,
        context,
        rows,
        windows,
        last,
        baseline,
        usage,
        refresh,
        effective,
        included,
        overage,
        version.threshold if version else None,
    )
    owed.metered = metered_charges(period, context, rows, account_entries, period.end if at_close else as_of)
    if at_close and version is not None and version.minimum > 0 and not is_before_book(period, context.settings):
        owed.has_minimum = True
        owed.minimum = minimum_charge(owed, version.minimum)
    return owed


# --- rows ----------------------------------------------------------------------------------------------------------


def rate(entry: Entry, period: Period, context: Context) -> Rated:
    """SPEC §4.1, §5: the row's state, whether a baseline counts it, and what it puts into the pool."""
    terms = context.terms_at(entry.occurred_at)
    plan = terms.plan if terms else None
    pooled = pooled_money(entry, plan, period, context)
    state = state_of(entry, period, context)
    counted = is_counted_in_baseline(entry, pooled, period, context)
    return Rated(entry, plan, state, counted, pooled)


def state_of(entry: Entry, period: Period, context: Context) -> str:
    """SPEC §4 (end): before bill_from pre_cutover, else landed past the late window expired, else billable."""
    settings = _settings_for(entry, context)
    if settings.bill_from is not None and entry.occurred_at < settings.bill_from:
        return "pre_cutover"
    return "expired" if _too_late(entry, period, settings) else "billable"


def state_without_period(entry: Entry) -> str:
    """By the files of the night it lands; only a period has a late window."""
    bill_from = entry.entered_under.bill_from
    return "pre_cutover" if bill_from is not None and entry.occurred_at < bill_from else "billable"


def _settings_for(entry: Entry, context: Context) -> Settings:
    """SPEC §3: what lands after the close has its state by the files of the night it lands."""
    if context.closed_night is not None and entry.entered_night > context.closed_night:
        return entry.entered_under
    return context.settings


def _too_late(entry: Entry, period: Period, settings: Settings) -> bool:
    return entry.landed_at > period.end + settings.late_window


def is_counted_in_baseline(entry: Entry, pooled: Fraction | None, period: Period, context: Context) -> bool:
    """SPEC §5: no account, pooled, before the cutover, with a baseline; whatever bill_from says, unless late."""
    cutover = context.settings.ledger_cutover
    return (
        not entry.named_account
        and pooled is not None
        and cutover is not None
        and entry.occurred_at < cutover
        and context.baseline is not None
        and not _too_late(entry, period, _settings_for(entry, context))
    )


def pooled_money(entry: Entry, plan: str | None, period: Period, context: Context) -> Fraction | None:
    """SPEC §4.1: its cost, or quantity × price ÷ divide_by, by the plan of the terms in force when it occurred."""
    charge = _charge_of(plan, entry.meter, period, context)
    if charge is None or not charge.pooled:
        return None
    if context.catalogue.meters[entry.meter].aggregate == "cost":
        return entry.cost or ZERO
    return entry.quantity * charge.price / context.catalogue.meters[entry.meter].divide_by


def _charge_of(plan: str | None, meter: str, period: Period, context: Context) -> Charge | None:
    if plan is None or meter not in context.catalogue.meters:
        return None
    return next((charge for charge in context.version(plan, period).charges if charge.meter == meter), None)


# --- the pool ------------------------------------------------------------------------------------------------------


def daily_refresh(period: Period, context: Context, rows: list[Rated], as_of: datetime) -> list[Window]:
    """SPEC §4.2, §5: 24 h windows from the period's start, the last cut; refresh = min(max(usage, 0), allowance)."""
    usage_of: dict[int, Fraction] = {}
    for row in rows:
        if row.pooled is not None and (row.state == "billable" or row.counted_in_baseline):
            index = (row.entry.occurred_at - period.start) // DAY
            usage_of[index] = usage_of.get(index, ZERO) + row.pooled
    windows = []
    start = period.start
    while start < period.end and start <= as_of:
        usage = usage_of.get((start - period.start) // DAY, ZERO)
        allowance = allowance_at(start, period, context)
        windows.append(Window(start, usage, allowance, min(max(usage, ZERO), allowance)))
        start += DAY
    return windows


def allowance_at(window_start: datetime, period: Period, context: Context) -> Fraction:
    """SPEC §4.2: basis × rate × seats of the terms in force at the window's start."""
    terms = context.terms_at(window_start)
    if terms is None:
        return ZERO
    version = context.version(terms.plan, period)
    return version.refresh_basis * version.refresh_rate * terms.seats


def included_money(period: Period, context: Context) -> Fraction:
    """SPEC §4.3: Σ over the terms in the period of included × seats × their share of the period's seconds."""
    total = ZERO
    for terms in context.terms_in(period):
        share = seconds(max(terms.starts_at, period.start), min(terms.ends_at, period.end))
        total += context.version(terms.plan, period).included * terms.seats * share / seconds(period.start, period.end)
    return total


# --- metered charges -----------------------------------------------------------------------------------------------


def metered_charges(
    period: Period, context: Context, rows: list[Rated], account_entries: list[Entry], until: datetime
) -> dict[str, tuple[Fraction, Fraction]]:
    """SPEC §4.5: every charge that is not pooled, per plan, on the usage that occurred under it."""
    found = {}
    for plan in dict.fromkeys(terms.plan for terms in context.terms_in(period)):
        for charge in context.version(plan, period).charges:
            if charge.pooled:
                continue
            meter = context.catalogue.meters[charge.meter]
            under = [
                row.entry
                for row in rows
                if row.plan == plan and row.entry.meter == charge.meter and row.state == "billable"
            ]
            if meter.aggregate == "time_weighted":
                total = level_integral(period, context, plan, meter, account_entries, until)
            else:
                total = _AGGREGATES[meter.aggregate](under, meter)
            quantity = total if meter.aggregate == "cost" else total / meter.divide_by
            found[f"metered:{plan}:{charge.meter}"] = (quantity, model_money(charge, meter, quantity, under))
    return found


def _latest(entries: list[Entry], meter: Meter) -> Fraction:
    if not entries:
        return ZERO
    return max(entries, key=lambda entry: (entry.occurred_at, entry.event_key)).quantity


def _distinct(entries: list[Entry], meter: Meter) -> Fraction:
    """SPEC §1 `unique_count`: the different actors, or values of a context key; an absent one is none."""
    if meter.of == "actor":
        found = {entry.actor for entry in entries}
    else:
        found = {(entry.context or {}).get(meter.of or "") for entry in entries}
    return Fraction(len(found - {None}))


_AGGREGATES: dict[str, Callable[[list[Entry], Meter], Fraction]] = {
    "cost": lambda entries, meter: sum((entry.cost or ZERO for entry in entries), ZERO),
    "sum": lambda entries, meter: sum((entry.quantity for entry in entries), ZERO),
    "count": lambda entries, meter: Fraction(len(entries)),
    "max": lambda entries, meter: max((entry.quantity for entry in entries), default=ZERO),
    "latest": _latest,
    "unique_count": _distinct,
}


def level_integral(
    period: Period, context: Context, plan: str, meter: Meter, account_entries: list[Entry], until: datetime
) -> Fraction:
    """SPEC §4.5 `time_weighted`: ∫ level dt ÷ the period's seconds over the time the plan is in force.

    The level is the sum of all the account's changes so far, whatever their state, but without those that landed
    after this period's late window; it counts as 0 while negative; time before bill_from is left out.
    """
    changes = sorted(
        (entry.occurred_at, entry.quantity)
        for entry in account_entries
        if entry.meter == meter.name
        and entry.occurred_at < period.end
        and not _too_late(entry, period, context.settings)
    )
    begins = max(period.start, context.settings.bill_from or period.start)
    ends = min(until, period.end)
    area = ZERO
    for terms in context.terms_in(period):
        if terms.plan != plan:
            continue
        start, end = max(begins, terms.starts_at), min(ends, terms.ends_at)
        if start >= end:
            continue
        marks = [start, *sorted({at for at, _ in changes if start < at < end}), end]
        for mark, following in itertools.pairwise(marks):
            level = sum((change for at, change in changes if at <= mark), ZERO)
            area += max(level, ZERO) * seconds(mark, following)
    return area / seconds(period.start, period.end)


def model_money(charge: Charge, meter: Meter, quantity: Fraction, entries: list[Entry]) -> Fraction:
    """SPEC §1 (below plans.yaml): what a quantity costs; q = max(0, quantity − free_units), q = 0 owes 0."""
    if charge.model is None:
        return quantity  # a cost meter's signed sum
    if charge.model == "percentage":
        return percentage_money(charge, meter, quantity, entries)
    q = max(ZERO, quantity - charge.free_units)
    if q == 0:
        return ZERO
    if charge.model == "per_unit":
        return q * charge.price
    if charge.model == "package":
        return -(-q // charge.size) * charge.price
    if charge.model == "volume":
        tier = next(tier for tier in charge.tiers if tier.up_to is None or q <= tier.up_to)
        return q * tier.unit + tier.flat
    return graduated_money(charge, q)


def graduated_money(charge: Charge, q: Fraction) -> Fraction:
    """SPEC §1: every tier bills its own part; `up_to` is inclusive, `flat` is due once q enters the tier."""
    owed, below = ZERO, ZERO
    for tier in charge.tiers:
        if q <= below:
            break
        top = q if tier.up_to is None else min(q, tier.up_to)
        owed += (top - below) * tier.unit + tier.flat
        below = top if tier.up_to is None else tier.up_to
    return owed


def percentage_money(charge: Charge, meter: Meter, total: Fraction, entries: list[Entry]) -> Fraction:
    """SPEC §1: rate × max(0, total − free_units) + fixed × events; with min or max clamped event by event."""
    if charge.least is None and charge.most is None:
        return charge.rate * max(ZERO, total - charge.free_units) + charge.fixed * len(entries)
    owed = ZERO
    for entry in entries:
        value = (entry.cost or ZERO) if meter.aggregate == "cost" else entry.quantity / meter.divide_by
        amount = charge.rate * value + charge.fixed
        amount = amount if charge.most is None else min(amount, charge.most)
        owed += amount if charge.least is None else max(amount, charge.least)
    return owed


def is_before_book(period: Period, settings: Settings) -> bool:
    """SPEC §7: the live book starts empty at bill_from: what has ended by then has no minimum and no baseline."""
    return settings.mode == "live" and settings.bill_from is not None and period.end <= settings.bill_from


def minimum_charge(owed: Owed, minimum: Fraction) -> Fraction:
    """SPEC §4.6: max(0, minimum − the rounded totals of the other charges)."""
    currency = owed.context.currency
    others = sum(
        (
            major(rounded_minor(amount, currency), currency)
            for charge, (_, amount) in owed.charges.items()
            if charge != "minimum"
        ),
        ZERO,
    )
    return max(ZERO, minimum - others)
