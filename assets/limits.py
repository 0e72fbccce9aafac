"""What is too large to bill: refused by name before anything is posted, and never by an overflow.

What a period's charges come to is held against the most that lines may bill, exactly. On the way there SQL reckons with 38
digits, 18 of them fractional; where that is not enough a model fails, and the usage or terms that no room was left for are
looked for in binary floating point, which is good enough to tell who is beyond 10^20 and is used for nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb

from assets.core.catalogue.problems import shown
from assets.core.instants import format_instant
from assets.core.refusal import Refusal

#: All charges of a period together, without their signs, in minor units: the difference of two such sums is a BIGINT still.
MOST_MINOR = 4 * 10**18
#: Money and quantities on the way: DECIMAL(38, 18) ends here. A hair less, because it is compared in floating point.
MOST = 0.999999e20
#: A level times microseconds, in whole billionths: what 128 bits hold with room to count packages.
MOST_LEVEL_US = 2**125 / 10**9

_OVERFLOW = re.compile("overflow|out of range|conversion error|could not cast", re.IGNORECASE)

_MEND = "correct it by a further row, or mend its price or the meter's divide_by"

_BILLED = f"""
    SELECT account_id, subscription_id, period_start, any_value(currency) AS currency,
           arg_max(charge, abs(owed_minor)) AS charge, max(abs(owed_minor)) AS largest
    FROM night.int_charges__owed
    GROUP BY account_id, subscription_id, period_start
    HAVING sum(abs(owed_minor::HUGEINT)) > {MOST_MINOR}
    ORDER BY ALL LIMIT 5"""

# Each usage with the price list of its instant, and what it is worth where one rate prices it.
_PRICED = """
    CREATE OR REPLACE TEMP TABLE beyond_priced AS
    SELECT s.account_id, s.subscription_id, s.period_start, s.currency, s.is_overage, s.catalog_id, s.plan, s.version_from,
           c.meter, c.aggregate, c.digits, c.is_pooled, c.is_clamped, c.model, e.occurred_at, e.raw_file, e.raw_line,
           coalesce(e.cost, e.quantity)::DOUBLE AS value, if(c.aggregate = 'count', 1, value) AS units,
           if(c.aggregate = 'cost' AND c.model IS NULL, value, value * (c.rate_num::DOUBLE / c.rate_den::DOUBLE)) AS amount,
           c.price::DOUBLE * c.package_per::DOUBLE * 10.0 ** c.digits / c.package_size::DOUBLE AS package_rate,
           c.fixed::DOUBLE AS fixed,
           (epoch_us(e.occurred_at) - epoch_us(s.period_start)) // 86400000000 AS window_no
    FROM night.int_ledger__entries e
    JOIN night.int_periods__slices s
      ON e.subscription_id = s.subscription_id AND e.occurred_at >= s.slice_start AND e.occurred_at < s.slice_end
    JOIN night.int_catalogue__charges c
      ON (s.catalog_id, s.plan, s.version_from, e.meter) = (c.catalog_id, c.plan, c.version_from, c.meter)
    WHERE c.aggregate <> 'time_weighted'"""

# What no room was left for: by meter and window, or period; then the largest row of it.
_USED = f"""
    WITH minor AS (
        SELECT currency, CASE exponent WHEN 0 THEN 1 WHEN 3 THEN 1000 ELSE 100 END AS per_unit FROM catalog.currencies
    ), summed AS (
        SELECT account_id, subscription_id, period_start, currency, meter, catalog_id, plan, version_from, aggregate, digits,
               is_pooled, bool_or(is_overage) AS is_overage,
               abs(CASE aggregate WHEN 'max' THEN max(value) WHEN 'latest' THEN arg_max(value, occurred_at)
                   ELSE sum(units) END) AS quantity,
               abs(sum(amount)) AS amount, max(abs(amount)) AS one_amount, coalesce(any_value(package_rate), 0) AS package_rate,
               bool_or(is_clamped) AS is_clamped, any_value(model) AS model, coalesce(abs(any_value(fixed)) * count(*), 0) AS fixed,
               arg_max(raw_file, abs(value)) AS raw_file, arg_max(raw_line, abs(value)) AS raw_line
        FROM beyond_priced
        GROUP BY GROUPING SETS (
            (account_id, subscription_id, period_start, currency, meter, catalog_id, plan, version_from, aggregate, digits,
             is_pooled),
            (account_id, subscription_id, period_start, currency, meter, catalog_id, plan, version_from, aggregate, digits,
             is_pooled, window_no),
            (account_id, subscription_id, period_start, currency, is_pooled))
    ), owed AS (
        SELECT summed.*,
               CASE WHEN is_pooled OR is_clamped OR model IS NULL THEN amount
                    WHEN model = 'package' THEN quantity * package_rate
                    ELSE abs(coalesce(p.base::DOUBLE, 0) + quantity * coalesce(p.rate_num::DOUBLE / p.rate_den::DOUBLE, 0)) END
               + fixed AS owed
        FROM summed LEFT JOIN night.int_catalogue__segments p
          ON (summed.catalog_id, summed.plan, summed.version_from, summed.meter)
             = (p.catalog_id, p.plan, p.version_from, p.meter)
         AND (p.up_to_units IS NULL OR quantity * 10.0 ** digits <= p.up_to_units::DOUBLE)
        QUALIFY row_number() OVER (
            PARTITION BY summed.subscription_id, period_start, summed.meter, summed.plan, quantity, amount
            ORDER BY p.segment_no) = 1
    )
    SELECT account_id, subscription_id, period_start, meter, any_value(currency) AS currency,
           max(greatest(owed, if(is_pooled OR is_clamped, one_amount, 0))) AS money, max(quantity) AS quantity,
           arg_max(raw_file, owed) AS raw_file, arg_max(raw_line, owed) AS raw_line
    FROM owed LEFT JOIN minor USING (currency)
    WHERE greatest(owed, quantity, if(is_pooled OR is_clamped, one_amount, 0)) >= {MOST}
       OR ((is_overage OR NOT is_pooled) AND owed * coalesce(per_unit, 100) >= 0.999999 * {MOST_MINOR})
    GROUP BY account_id, subscription_id, period_start, meter
    ORDER BY ALL LIMIT 5"""

_LEVELS = f"""
    WITH charged AS (
        SELECT s.account_id, s.subscription_id, s.period_start, max(s.period_end) AS period_end, max(s.period_us) AS period_us,
               any_value(s.currency) AS currency, c.meter, max(abs(p.base::DOUBLE)) AS base,
               max(coalesce(c.price::DOUBLE * c.package_per::DOUBLE * 1e9 / c.package_size::DOUBLE,
                            p.rate_num::DOUBLE / p.rate_den::DOUBLE)) AS rate
        FROM night.int_periods__slices s JOIN night.int_catalogue__charges c
          ON (s.catalog_id, s.plan, s.version_from) = (c.catalog_id, c.plan, c.version_from)
        LEFT JOIN night.int_catalogue__segments p
          ON (c.catalog_id, c.plan, c.version_from, c.meter) = (p.catalog_id, p.plan, p.version_from, p.meter)
        WHERE c.aggregate = 'time_weighted'
        GROUP BY s.account_id, s.subscription_id, s.period_start, c.meter
    ), levels AS (
        SELECT account_id, meter, occurred_at, raw_file, raw_line, sum(quantity::DOUBLE) OVER (
            PARTITION BY account_id, meter ORDER BY occurred_at) AS level
        FROM night.int_ledger__entries WHERE meter IN (SELECT meter FROM charged)
    )
    SELECT account_id, subscription_id, period_start, meter, max(level) AS level, currency,
           if(max(level) * period_us >= {MOST_LEVEL_US}, NULL, coalesce(base, 0) + max(level) * rate) AS owed,
           arg_max(raw_file, level) AS raw_file, arg_max(raw_line, level) AS raw_line
    FROM charged JOIN levels USING (account_id, meter)
    WHERE occurred_at < period_end
    GROUP BY account_id, subscription_id, period_start, meter, period_us, currency, base, rate
    HAVING max(level) * period_us >= {MOST_LEVEL_US} OR coalesce(base, 0) + max(level) * rate >= {MOST_MINOR} / 1000
    ORDER BY ALL LIMIT 5"""

# What seats come to: 128 bits hold an included amount in 10^-18ths times the seconds (or microseconds) it is in force.
_SEATS = f"""
    SELECT account_id, subscription_id, period_start, plan, seats,
           refresh_allowance::DOUBLE * seats >= {MOST} AS is_refresh
    FROM (
        SELECT *, epoch_us(slice_end) - epoch_us(slice_start) AS slice_us,
               if(period_us % 1000000 = 0 AND bool_and((epoch_us(slice_end) - epoch_us(slice_start)) % 1000000 = 0) OVER (
                   PARTITION BY subscription_id, period_start), 1000000, 1) AS unit_us
        FROM night.int_periods__slices) AS slices
    WHERE refresh_allowance::DOUBLE * seats >= {MOST}
       OR included::DOUBLE * seats * (slice_us // unit_us) * 1e18 * 2 >= 0.999999 * 2.0 ** 127
       OR included::DOUBLE * seats * (slice_us // unit_us) >= 0.999999e23
    ORDER BY ALL LIMIT 5"""


# One row's own worth, which readers see whatever it adds up to with others.
_ROWS = f"""
    WITH rates AS (
        SELECT meter, max(rate_num::DOUBLE / rate_den::DOUBLE) AS rate FROM night.int_catalogue__charges
        WHERE is_pooled AND aggregate <> 'cost' GROUP BY meter
    )
    SELECT e.account_id, e.subscription_id, e.meter, max(abs(e.quantity::DOUBLE) * rate) AS amount,
           arg_max(e.raw_file, abs(e.quantity)) AS raw_file, arg_max(e.raw_line, abs(e.quantity)) AS raw_line
    FROM night.int_ledger__new e JOIN rates USING (meter)
    GROUP BY e.account_id, e.subscription_id, e.meter
    HAVING max(abs(e.quantity::DOUBLE) * rate) >= {MOST}
    ORDER BY ALL LIMIT 5"""


def refuse_beyond(con: duckdb.DuckDBPyConnection) -> None:
    """What the night's charges come to must fit into lines; asked once they are reckoned, before anything is posted."""
    problems = [
        f"account {shown(account)}, subscription {shown(subscription)}, the period from {_at(start)}: its charges come to "
        f"more than {_number(MOST_MINOR)} minor units of {currency}, the most that can be billed for one, and {shown(charge)} "
        f"alone to {_number(largest)}; {_MEND}."
        for account, subscription, start, currency, charge, largest in con.execute(_BILLED).fetchall()
    ]
    problems += [
        f"raw/{file} line {line}: account {shown(account)}, subscription {shown(subscription)}: one usage of {shown(meter)} is "
        f"worth some {amount:.1e}, more than can be reckoned with; mend its price or the meter's divide_by."
        for account, subscription, meter, amount, file, line in con.execute(_ROWS).fetchall()
    ]
    if problems:
        raise Refusal(problems)


def refuse_overflow(con: duckdb.DuckDBPyConnection, failure: str) -> None:
    """A model has failed: say whose usage or terms no room was left for, if that is why."""
    if not _OVERFLOW.search(failure):
        return
    try:
        problems = [*_too_much(con)]
    except duckdb.Error:  # it failed before there was anything to look at, and for another reason
        return
    if problems:
        raise Refusal(problems)


def _too_much(con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    for account, subscription, start, plan, seats, is_refresh in con.execute(_SEATS).fetchall():
        what = "the daily refresh" if is_refresh else "what is included"
        yield (
            f"accounts/subscriptions.csv: subscription {shown(subscription)} of account {shown(account)} has {_number(seats)} "
            f"seats of plan {shown(plan)} in the period from {_at(start)}, for which {what} is more than can be reckoned with; "
            "write fewer seats, or less of it in catalog/plans.yaml."
        )
    con.execute(_PRICED)
    for account, subscription, start, meter, currency, money, quantity, file, line in con.execute(_USED).fetchall():
        amount = f"{quantity:.1e} before divide_by" if money < MOST <= quantity else f"{money:.1e} {currency}"
        what = shown(meter) if meter else "pooled usage"
        yield _sentence(account, subscription, start, file, line, f"{what} comes to some {amount}")
    con.execute("DROP TABLE beyond_priced")
    for account, subscription, start, meter, level, currency, owed, file, line in con.execute(_LEVELS).fetchall():
        what = f"the level of {shown(meter)} comes to some {level:.1e}"
        if owed is not None:
            what = f"a level of {level:.3g} of {shown(meter)} comes to some {owed:.1e} {currency}"
        yield _sentence(account, subscription, start, file, line, what)


def _sentence(account: str, subscription: str, start: datetime, file: str, line: int, what: str) -> str:
    return (
        f"raw/{file} line {line}: account {shown(account)}, subscription {shown(subscription)}, the period from {_at(start)}: "
        f"{what}, more than can be reckoned with; {_MEND}."
    )


def _at(start: datetime) -> str:
    return format_instant(start.replace(tzinfo=UTC))


def _number(value: int) -> str:
    return f"{value:,}"
