"""A workspace's catalogue and account files as one checked whole, or a refusal that names every mistake."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path

from assets.core import tariff
from assets.core.catalogue import read_checks, read_meters, read_parity, read_plans, read_sources, read_workspace
from assets.core.catalogue.account_checks import CHECKS
from assets.core.catalogue.draft import Draft
from assets.core.catalogue.models import SUMMABLE, Account, Baseline, Catalogue, ClosedPeriod, Meter, Plan, Settings
from assets.core.catalogue.nodes import read_yaml
from assets.core.catalogue.problems import Problems, sentence, shown
from assets.core.catalogue.read_accounts import BASELINES, read_accounts
from assets.core.instants import format_instant
from assets.core.refusal import Refusal

# Of one amount that is billed as it stands: in minor units of any currency it leaves a line room for usage beside it.
MOST_AT_ONCE = 10**15


def load(
    workspace: Path,
    closed: Sequence[ClosedPeriod] = (),
    as_of: datetime | None = None,
    plans_file: Path | None = None,
) -> Catalogue:
    """What the workspace sells and to whom; Refusal with all problems where a file has mistakes.

    `closed` are the periods that the books have closed: they are fixed, so a plan need no longer have a
    version for them, and a told period may not cross them. `as_of` only adds warnings. Plans are read from
    `plans_file` where there is one, instead of the workspace's own.
    """
    problems = Problems()
    roots = {
        module.FILE: read_yaml(workspace, module.FILE, problems)
        for module in (read_workspace, read_meters, read_sources)
    }
    # A file of its own is named as whoever asked for it did.
    plans_at, plans_named = (workspace, read_plans.FILE) if plans_file is None else (Path(), str(plans_file))
    plans_root = read_yaml(plans_at, plans_named, problems)
    plans_called = "plans.yaml" if plans_file is None else plans_named
    meters = read_meters.read_meters(roots[read_meters.FILE], problems)
    weights = read_meters.read_weights(roots[read_meters.FILE], problems)
    sources = read_sources.read_sources(roots[read_sources.FILE], meters, weights, problems)
    plans = read_plans.read_plans(plans_root, meters, problems)
    sound_meters = {name: meter for name, meter in (meters or {}).items() if meter is not None}
    aggregates = {name: str(meter.aggregate) for name, meter in sound_meters.items()}
    before = len(problems)
    settings = read_workspace.read_workspace(roots[read_workspace.FILE], aggregates, plans, plans_called, problems)
    is_settled = roots[read_workspace.FILE] is not None and len(problems) == before

    comparisons = read_parity.read_parity(workspace, meters, sources, plans, problems)
    checks, notify = read_checks.read_checks(workspace, problems)
    rows = read_accounts(workspace, settings.currency, problems)
    closed = in_book(closed, settings)
    draft = Draft.of(settings, is_settled, plans, plans_called, rows, closed)
    for check in CHECKS:
        problems.mistakes.extend(check(draft))
    if not problems.mistakes:
        problems.mistakes.extend(_prices_beyond(plans_named, plans or {}, sound_meters))
    problems.mistakes.extend(_baselines_beyond(rows.baselines))
    if problems.mistakes:
        raise Refusal(problems)

    warnings = [
        *problems.warnings,
        *_default_plan_warnings(settings, plans or {}, rows.accounts),
        *_baseline_warnings(settings, rows.baselines, as_of),
        *_unsummable_warnings(settings, plans or {}, sound_meters),
    ]
    return Catalogue(
        catalog_id=_digest([workspace / read_meters.FILE, plans_at / plans_named]),
        settings=settings,
        sources=sources,
        meters=sound_meters,
        weights=weights or {},
        plans=plans or {},
        accounts=rows.accounts,
        terms=rows.terms,
        memberships=rows.memberships,
        told_periods=rows.told_periods,
        baselines=rows.baselines,
        credit_grants=rows.credit_grants,
        closed=closed,
        warnings=warnings,
        comparisons=comparisons,
        checks=checks,
        notify=notify,
    )


def in_book(closed: Iterable[ClosedPeriod], settings: Settings) -> tuple[ClosedPeriod, ...]:
    """Those that the night's book has closed."""
    return tuple(period for period in closed if period.book == settings.stripe_mode)


def _prices_beyond(file: str, plans: dict[str, Plan], meters: dict[str, Meter]) -> Iterator[str]:
    """Prices that leave no room to reckon with them exactly."""
    for plan in plans.values():
        for version in plan.versions:
            place = f"{file}: plans.{plan.name}, version from {format_instant(version.version_from)}:"
            for charge in version.charges:
                if not tariff.fits(charge, meters[charge.meter]):
                    is_divided = meters[charge.meter].divide_by != 1
                    odd = f"the price of {charge.meter}" + (" and the meter's divide_by have" if is_divided else " has")
                    advice = "give the price or divide_by fewer digits" if is_divided else "give the price fewer digits"
                    yield sentence(place, f"{odd} too many digits to divide exactly", advice)
                elif not tariff.has_room(charge, meters[charge.meter]):
                    odd = f"the tiers or packages of {charge.meter} reach beyond 20 digits, where money ends"
                    yield sentence(place, odd, "write smaller bounds, sizes or prices, or a smaller divide_by")
            if version.minimum > MOST_AT_ONCE:
                yield sentence(place, f"minimum is {version.minimum}", f"write at most {MOST_AT_ONCE}")
            if Fraction(version.refresh_basis) * Fraction(version.refresh_rate) >= tariff.MOST:
                odd = "daily_refresh.basis x rate reaches beyond 20 digits, where money ends"
                yield sentence(place, odd, "write a smaller basis or rate")


def _baselines_beyond(baselines: Iterable[Baseline]) -> Iterator[str]:
    for row in baselines:
        if abs(row.amount) > MOST_AT_ONCE:
            yield sentence(f"{BASELINES} line {row.line}:", f"amount is {row.amount}", f"write at most {MOST_AT_ONCE}")


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _default_plan_warnings(settings: Settings, plans: dict[str, Plan], accounts: list[Account]) -> Iterator[str]:
    """An account in another currency can't hold the default plan; it may never need to."""
    plan = plans.get(settings.default_plan or "")
    if plan is None or plan.currency is None:
        return
    others = [account for account in accounts if account.currency != plan.currency]
    if others:
        names = f"account {shown(others[0].account_id)}" + (f" and {len(others) - 1} more" if others[1:] else "")
        odd = f"is {shown(plan.name)}, which is for {plan.currency}, and {names} has another currency"
        advice = "its usage outside a subscription is held as no_payer"
        yield sentence(f"{read_workspace.FILE}: default_plan", odd, advice)


def _unsummable_warnings(settings: Settings, plans: dict[str, Plan], meters: dict[str, Meter]) -> Iterator[str]:
    """Charged meters that Stripe is told nothing of, where it is told of usage hour by hour."""
    if settings.stripe_push != "meter_events":
        return
    charged = {charge.meter for plan in plans.values() for version in plan.versions for charge in version.charges}
    for name, meter in meters.items():
        if name in charged and meter.aggregate not in SUMMABLE:
            odd = f"is {meter.aggregate}, whose hours do not add up to a period, so no meter events are sent of it"
            yield sentence(f"{read_meters.FILE}: {name}:", odd, "bill it in another way, or push invoice_items")


def _baseline_warnings(settings: Settings, baselines: list[Baseline], as_of: datetime | None) -> Iterator[str]:
    for row in baselines:
        place = f"{BASELINES} line {row.line}:"
        start = format_instant(row.period_start)
        if as_of is not None and row.period_start > as_of:
            yield sentence(place, f"names a period that begins at {start}, after this run", "it counts from then on")
        if settings.ledger_cutover is not None and row.period_start >= settings.ledger_cutover:
            odd = f"names a period that begins at {start}, not before the cutover"
            yield sentence(place, odd, "check that its usage is not in the raw files too")
