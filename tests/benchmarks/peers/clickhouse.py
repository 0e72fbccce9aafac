"""The month's lines by one ClickHouse query over the raw files, as peers/by_hand.sql says them."""

from __future__ import annotations

from pathlib import Path

_QUERY = """
    WITH usages AS (
        SELECT org, meter, substring(ts, 1, 10) AS day, value
        FROM file('{raw}', 'JSONEachRow', 'id String, type LowCardinality(String), ts String,
                  org LowCardinality(String), meter LowCardinality(String), value Decimal(18, 6)')
        WHERE type = 'usage'
        LIMIT 1 BY id
    ), days AS (
        SELECT org, meter, day, sum(toInt128(value * 1000000)) AS micro FROM usages GROUP BY org, meter, day
    ), priced AS (
        SELECT s.subscription_id AS subscription_id, s.plan AS plan, toInt128(s.seats) AS seats, d.meter AS meter,
               d.day AS day, d.micro AS micro, p.is_pooled = 'True' AS is_pooled, p.unit_micro AS unit_micro,
               p.bound_micro AS bound_micro, p.beyond_micro AS beyond_micro, p.flat_micro AS flat_micro
        FROM days AS d
        JOIN file('{subscriptions}', 'CSVWithNames', 'subscription_id String, account_id String, plan String,
                  seats Int64, interval String, anchor_at String, starts_at String, ends_at String') AS s
            ON d.org = s.account_id
        JOIN file('{prices}', 'CSVWithNames', 'plan String, meter String, is_pooled String, unit_micro Int128,
                  bound_micro Int128, beyond_micro Int128, flat_micro Int128') AS p
            ON s.plan = p.plan AND d.meter = p.meter
    ), windows AS (
        SELECT subscription_id, plan, seats, day, sum(micro * unit_micro) AS pico
        FROM priced WHERE is_pooled GROUP BY subscription_id, plan, seats, day
    ), owed AS (
        SELECT w.subscription_id AS subscription_id, 'overage' AS charge,
               sum(w.pico) - sum(least(w.pico, p.allowance_micro * 1000000 * w.seats))
                   - any(p.included_micro * 1000000 * w.seats) AS pico
        FROM windows AS w
        JOIN file('{plans}', 'CSVWithNames', 'plan String, included_micro Int128, allowance_micro Int128') AS p
            ON w.plan = p.plan
        GROUP BY w.subscription_id
        UNION ALL
        SELECT subscription_id, 'metered:' || plan || ':' || meter AS charge,
               least(sum(micro), any(bound_micro)) * any(unit_micro) + if(sum(micro) > any(bound_micro),
                   (sum(micro) - any(bound_micro)) * any(beyond_micro) + any(flat_micro) * 1000000, 0) AS pico
        FROM priced WHERE NOT is_pooled GROUP BY subscription_id, plan, meter
    )
    SELECT subscription_id, charge, intDiv(pico + 5000000000, 10000000000) AS amount_minor
    FROM owed WHERE pico >= 5000000000"""


def bill(files: dict[str, str], result: Path) -> None:
    import chdb

    result.write_bytes(chdb.query(_QUERY.format(**files), "CSVWithNames").bytes())
