-- Conservation from what was added up to metered charges: a charge counts every usage of its meter under its plan.
{{ config(meta={'dagster': {'ref': {'name': 'int_usage__metered'}}}) }}

with metered as (
    select * from {{ ref('int_usage__metered') }} where aggregate <> 'time_weighted'
),

found as (
    select scope.subscription_id, scope.period_start, scope.plan, added.meter, sum(added.events) as events
    from {{ ref('int_usage__added') }} as added
    inner join {{ ref('int_periods__scope') }} as scope on added.slice_no = scope.slice_no
    inner join {{ ref('int_catalogue__charges') }} as charges
        on scope.list_no = charges.list_no and added.meter = charges.meter
    where not charges.is_pooled
    group by all
)

select
    subscription_id,
    period_start,
    plan,
    meter,
    metered.events as events_charged,
    found.events as events_found
from metered
full join found using (subscription_id, period_start, plan, meter)
where coalesce(metered.events, 0) <> coalesce(found.events, 0)
