-- Conservation from rows to metered charges: a charge counts exactly the billable rows of its meter under its plan.
{{ config(meta={'dagster': {'ref': {'name': 'int_usage__metered'}}}) }}

with metered as (
    select * from {{ ref('int_usage__metered') }} where aggregate <> 'time_weighted'
),

slices as (
    select * from {{ ref('int_periods__slices') }}
),

entries as (
    select *
    from {{ ref('int_ledger__entries') }}
    where
        subscription_id in (select subscription_id from metered)
        and occurred_at >= (select min(period_start) from metered)
        and meter in (select meter from metered)
),

rated as (
    {{ rated('entries', 'slices') }}
),

by_row as (
    select rated.subscription_id, rated.period_start, rated.plan, rated.meter, count(*) as events
    from rated
    semi join {{ ref('int_periods__scope') }} as scope
        on rated.subscription_id = scope.subscription_id and rated.period_start = scope.period_start
    where rated.aggregate is not null and not rated.is_pooled and rated.state = 'billable'
    group by all
)

select
    subscription_id,
    period_start,
    plan,
    meter,
    metered.events as events_charged,
    by_row.events as events_found
from metered
full join by_row using (subscription_id, period_start, plan, meter)
where coalesce(metered.events, 0) <> coalesce(by_row.events, 0)
