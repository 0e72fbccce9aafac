-- What the nights have picked out of usage, one after the other, is what all of its rows together have: the greatest, the latest,
-- the different values, and what single events owe within their least and most.
{{ config(meta={'dagster': {'ref': {'name': 'int_usage__picked'}}}) }}

with scope as (
    {{ looked_at_tonight() }}
),

rated as (
    {{ rated(ref('int_ledger__entries'), 'scope', join='inner') }}
),

from_rows as (
    {{ picks('rated') }}
),

in_ledger as (
    {{ picked('from_rows') }}
),

in_books as (
    select * from {{ ref('int_usage__picked') }} as picked
    semi join scope on picked.subscription_id = scope.subscription_id and picked.period_start = scope.period_start
)

select
    subscription_id,
    period_start,
    plan,
    meter,
    in_ledger.units as units_in_ledger,
    in_books.units as units_picked,
    coalesce(in_ledger.clamped, 0) - coalesce(in_books.clamped, 0) as at_stake
from in_ledger
full join in_books using (subscription_id, period_start, plan, meter)
where in_ledger.units is distinct from in_books.units or in_ledger.clamped is distinct from in_books.clamped
