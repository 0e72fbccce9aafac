"""The checked catalogue as tables of the schema `catalog`, rewritten whole by every run.

Arrow carries the rows, so that twenty thousand accounts are one statement, and the column types are stated here: money
and rates are DECIMAL(38,15), instants are TIMESTAMP in UTC. SQL reads what is sold, who buys and how amounts round from
these tables alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from assets.core import drift, tariff
from assets.core.catalogue.models import Catalogue, Charge, Meter, Plan, PlanVersion
from assets.core.catalogue.subscriptions import open_periods
from assets.core.numbers import MONEY_PLACES, QUANTITY_PLACES, UNUSUAL_CURRENCIES, minor_step
from assets.core.periods import calendar_months, zone_of

if TYPE_CHECKING:
    import duckdb

Type: TypeAlias = Literal["text", "instant", "money", "exact", "bigint", "int", "whole", "bool"]
Row: TypeAlias = tuple[Any, ...]
Rows: TypeAlias = Callable[[Catalogue, datetime], Iterable[Row]]

# Usage up to this far ahead of a run is not yet "future" (SPEC section 2), so its period must be there.
AHEAD = timedelta(minutes=5)

_MICROSECOND = timedelta(microseconds=1)


def write_catalogue(
    con: duckdb.DuckDBPyConnection, catalogue: Catalogue, as_of: datetime, only: Collection[str] = ()
) -> None:
    """Replace the tables of the schema `catalog`, all or `only` some; the caller's transaction, if any, binds them."""
    con.execute("CREATE SCHEMA IF NOT EXISTS catalog")
    for name, (columns, rows) in TABLES.items():
        if only and name not in only:
            continue
        con.register("catalogue_rows", _arrow(columns, list(rows(catalogue, as_of))))
        try:
            # Arrow has no 128-bit integers; DuckDB divides only those exactly.
            whole = [f'"{column}"::HUGEINT AS "{column}"' for column, kind in columns.items() if kind == "whole"]
            replaced = f" REPLACE ({', '.join(whole)})" if whole else ""
            con.execute(f'CREATE OR REPLACE TABLE catalog."{name}" AS SELECT *{replaced} FROM catalogue_rows')
        finally:
            con.unregister("catalogue_rows")


def write_months(con: duckdb.DuckDBPyConnection, catalogue: Catalogue) -> None:
    """The calendar months that the default plan may need: of every account's zone, around all usage it may have."""
    instants = con.execute("""
        SELECT DISTINCT date_trunc('month', seen_at) AS month FROM (
            SELECT occurred_at AS seen_at FROM landing.batch
            UNION ALL SELECT seen_at FROM books.default_periods
            UNION ALL SELECT period_start FROM catalog.baselines
        ) WHERE seen_at IS NOT NULL ORDER BY month""").fetchall()
    zones = {account.timezone for account in catalogue.accounts} if catalogue.settings.default_plan else set()
    rows = sorted(
        {
            (zone, start, end)
            for zone in zones
            for (month,) in instants
            # A zone's month begins up to a day before or after that of UTC.
            for start, end in calendar_months(
                _shift(month, -timedelta(days=1)), _shift(month, timedelta(days=32)), zone_of(zone)
            )
        }
    )
    con.register("zone_months", _arrow(ZONE_MONTHS, rows))
    con.execute("CREATE OR REPLACE TABLE catalog.zone_months AS FROM zone_months")
    con.unregister("zone_months")


def _shift(month: datetime, by: timedelta) -> datetime:
    try:
        return month.replace(tzinfo=UTC) + by
    except OverflowError:  # year 1 or 9999
        return month.replace(tzinfo=UTC)


def _arrow(columns: dict[str, Type], rows: list[Row]) -> Any:
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "instant": pa.timestamp("us"),
        "money": pa.decimal128(38, 15),
        "exact": pa.decimal128(38, 18),
        "whole": pa.decimal128(38, 0),
        "bigint": pa.int64(),
        "int": pa.int32(),
        "bool": pa.bool_(),
    }
    cells: Iterable[Iterable[Any]] = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return pa.table(
        {name: pa.array(column, types[kind]) for (name, kind), column in zip(columns.items(), cells, strict=True)}
    )


def _settings(catalogue: Catalogue, as_of: datetime) -> Iterator[Row]:
    it = catalogue.settings
    yield (
        as_of,
        as_of + AHEAD,
        it.currency,
        it.close_grace // _MICROSECOND,
        it.late_window // _MICROSECOND,
        it.default_plan,
        it.bill_from,
        it.ledger_cutover,
        it.stripe_mode,
        it.stripe_push,
        it.stripe_collect,
        it.stripe_key,
        it.engine,
        catalogue.catalog_id,
    )


def _accounts(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    for it in catalogue.accounts:
        yield it.account_id, it.entity_type, it.name, it.currency, it.timezone, it.stripe_customer_id


def _terms(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    for it in catalogue.terms:
        yield (
            it.subscription_id,
            it.account_id,
            it.plan,
            it.seats,
            it.interval,
            it.anchor_at,
            it.starts_at,
            it.ends_at,
        )


def _memberships(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    for it in catalogue.memberships:
        yield it.organization_id, it.user_id, it.joined_at, it.left_at


def _told_periods(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    for it in catalogue.told_periods:
        yield it.subscription_id, it.period_start, it.period_end


def _baselines(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    for it in catalogue.baselines:
        yield it.account_id, it.period_start, it.amount


def _credit_grants(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    for it in catalogue.credit_grants:
        yield (
            it.grant_id,
            it.account_id,
            it.amount_minor,
            it.currency,
            it.granted_at,
            it.expires_at,
            it.priority,
        )


def _meters(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    for it in catalogue.meters.values():
        yield it.name, it.aggregate, it.divide_by, *it.divide_by.as_integer_ratio(), it.unit, it.of


def _parity(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    for it in catalogue.comparisons.values():
        reference, candidate = (catalogue.meters[side.meter] for side in (it.reference, it.candidate))
        digits = MONEY_PLACES if it.measure == "cost" else QUANTITY_PLACES
        scale = drift.scale(reference.divide_by, candidate.divide_by)
        assert scale is not None  # the file was checked
        yield (
            it.name,
            it.measure,
            reference.unit or candidate.unit or "units",
            it.reference.meter,
            it.reference.source,
            reference.aggregate == "count",
            scale.reference_factor,
            it.candidate.meter,
            it.candidate.source,
            candidate.aggregate == "count",
            scale.candidate_factor,
            digits,
            scale.per,
            *it.flag_above.as_integer_ratio(),
            *it.alert_above.as_integer_ratio(),
            it.accounts,
            drift.whole_units(it.real_volume, scale.per, digits),
            it.clean_for // _MICROSECOND,
            it.settle // _MICROSECOND,
        )


def _plans(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    for it in catalogue.plans.values():
        yield it.name, it.priority, it.currency


def _plan_versions(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    for plan in catalogue.plans.values():
        following = [*(version.version_from for version in plan.versions[1:]), None]
        for it, version_to in zip(plan.versions, following, strict=True):
            yield (
                plan.name,
                it.version_from,
                version_to,
                it.included,
                tariff.money(Fraction(it.refresh_basis) * Fraction(it.refresh_rate)),
                it.is_overage,
                it.threshold,
                it.minimum,
            )


def _each_charge(catalogue: Catalogue) -> Iterator[tuple[Plan, PlanVersion, Charge, Meter]]:
    for plan in catalogue.plans.values():
        for version in plan.versions:
            for charge in version.charges:
                yield plan, version, charge, catalogue.meters[charge.meter]


def _charges(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    for plan, version, it, meter in _each_charge(catalogue):
        rate, divide_by = tariff.rate(it, meter), Fraction(meter.divide_by)
        per, free, size = tariff.package(it, meter) if it.model == "package" else (None, None, None)
        yield (
            plan.name,
            version.version_from,
            it.meter,
            meter.aggregate,
            meter.of,
            tariff.digits(meter),
            it.is_pooled,
            it.model,
            it.price,
            it.fixed,
            it.min_amount,
            it.max_amount,
            it.min_amount is not None or it.max_amount is not None,
            rate.numerator,
            rate.denominator,
            divide_by.numerator,
            divide_by.denominator,
            per,
            free,
            size,
        )


def _segments(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    for plan, version, it, meter in _each_charge(catalogue):
        if it.is_pooled:
            continue
        for number, piece in enumerate(tariff.segments(it, meter), start=1):
            yield (
                plan.name,
                version.version_from,
                it.meter,
                number,
                piece.up_to_units,
                tariff.money(piece.base),
                piece.rate.numerator,
                piece.rate.denominator,
            )


def _currencies(catalogue: Catalogue, _: datetime) -> Iterator[Row]:
    # With those that round by a rule of their own: a line of old may be in a currency that no account has today.
    used = {catalogue.settings.currency, *UNUSUAL_CURRENCIES}
    used |= {account.currency for account in catalogue.accounts}
    used |= {plan.currency for plan in catalogue.plans.values() if plan.currency is not None}
    for currency in sorted(used):
        yield currency, *minor_step(currency)


def _periods(catalogue: Catalogue, as_of: datetime) -> Iterator[Row]:
    for it in open_periods(catalogue, as_of + AHEAD):
        yield it.subscription_id, it.account_id, it.period_start, it.period_end


ZONE_MONTHS: dict[str, Type] = {"timezone": "text", "month_start": "instant", "month_end": "instant"}
TABLES: dict[str, tuple[dict[str, Type], Rows]] = {
    "settings": (
        {
            "as_of": "instant",
            "ahead_until": "instant",
            "currency": "text",
            "close_grace_us": "bigint",
            "late_window_us": "bigint",
            "default_plan": "text",
            "bill_from": "instant",
            "ledger_cutover": "instant",
            "book": "text",
            "push": "text",
            "collect": "text",
            "key_mode": "text",
            "engine": "text",
            "catalog_id": "text",
        },
        _settings,
    ),
    "accounts": (
        {
            "account_id": "text",
            "entity_type": "text",
            "name": "text",
            "currency": "text",
            "timezone": "text",
            "stripe_customer_id": "text",
        },
        _accounts,
    ),
    "terms": (
        {
            "subscription_id": "text",
            "account_id": "text",
            "plan": "text",
            "seats": "bigint",
            "interval": "text",
            "anchor_at": "instant",
            "starts_at": "instant",
            "ends_at": "instant",
        },
        _terms,
    ),
    "memberships": (
        {"organization_id": "text", "user_id": "text", "joined_at": "instant", "left_at": "instant"},
        _memberships,
    ),
    "told_periods": (
        {"subscription_id": "text", "period_start": "instant", "period_end": "instant"},
        _told_periods,
    ),
    "baselines": (
        {"account_id": "text", "period_start": "instant", "amount": "money"},
        _baselines,
    ),
    "credit_grants": (
        {
            "grant_id": "text",
            "account_id": "text",
            "amount_minor": "bigint",
            "currency": "text",
            "granted_at": "instant",
            "expires_at": "instant",
            "priority": "bigint",
        },
        _credit_grants,
    ),
    "meters": (
        {
            "meter": "text",
            "aggregate": "text",
            "divide_by": "money",
            "divide_num": "whole",
            "divide_den": "whole",
            "unit": "text",
            "of_field": "text",
        },
        _meters,
    ),
    "parity": (
        {
            "comparison": "text",
            "measure": "text",
            "unit": "text",
            "reference_meter": "text",
            "reference_source": "text",
            "is_reference_count": "bool",
            "reference_factor": "whole",
            "candidate_meter": "text",
            "candidate_source": "text",
            "is_candidate_count": "bool",
            "candidate_factor": "whole",
            "digits": "int",
            "per": "whole",
            "flag_num": "whole",
            "flag_den": "whole",
            "alert_num": "whole",
            "alert_den": "whole",
            "accounts": "bigint",
            "real_volume_units": "whole",
            "clean_for_us": "bigint",
            "settle_us": "bigint",
        },
        _parity,
    ),
    "plans": ({"plan": "text", "priority": "bigint", "currency": "text"}, _plans),
    "plan_versions": (
        {
            "plan": "text",
            "version_from": "instant",
            "version_to": "instant",
            "included": "money",
            "refresh_allowance": "exact",
            "is_overage": "bool",
            "threshold": "exact",
            "minimum": "exact",
        },
        _plan_versions,
    ),
    "charges": (
        {
            "plan": "text",
            "version_from": "instant",
            "meter": "text",
            "aggregate": "text",
            "of_field": "text",
            "digits": "int",
            "is_pooled": "bool",
            "model": "text",
            "price": "exact",
            "fixed": "exact",
            "min_amount": "exact",
            "max_amount": "exact",
            "is_clamped": "bool",
            "rate_num": "whole",
            "rate_den": "whole",
            "divide_num": "whole",
            "divide_den": "whole",
            "package_per": "whole",
            "package_free": "whole",
            "package_size": "whole",
        },
        _charges,
    ),
    "segments": (
        {
            "plan": "text",
            "version_from": "instant",
            "meter": "text",
            "segment_no": "int",
            "up_to_units": "whole",
            "base": "exact",
            "rate_num": "whole",
            "rate_den": "whole",
        },
        _segments,
    ),
    "currencies": ({"currency": "text", "exponent": "int", "step": "int"}, _currencies),
    "periods": (
        {
            "subscription_id": "text",
            "account_id": "text",
            "period_start": "instant",
            "period_end": "instant",
        },
        _periods,
    ),
}
