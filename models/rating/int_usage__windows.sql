-- Pooled usage of the periods in scope, summed per window of 24 hours from the period's start.
-- `usage` is what the window used; `usage_not_in_baseline` is the part of it that a baseline has not counted already.
with slices as (
    select * from {{ ref('int_periods__slices') }}
),

scope as (
    select distinct subscription_id, period_start from {{ ref('int_periods__scope') }}
),

entries as (
    select *
    from {{ ref('int_ledger__entries') }}
    where
        subscription_id in (select subscription_id from scope)
        and occurred_at >= (select min(period_start) from scope)
),

rated as (
    {{ rated('entries', 'slices') }}
),

-- Quantities are added up before they are priced, so that a price without an end (1/3) is divided once and not per row.
summed as (
    select
        rated.subscription_id,
        rated.period_start,
        rated.window_no,
        rated.aggregate = 'cost' as is_cost,
        rated.rate_num,
        rated.rate_den,
        sum(rated.cost) as cost,
        sum(rated.cost) filter (where not rated.is_counted_in_baseline) as cost_not_in_baseline,
        sum(rated.quantity) as quantity,
        coalesce(sum(rated.quantity) filter (where not rated.is_counted_in_baseline), 0) as quantity_not_in_baseline
    from rated
    semi join scope on rated.subscription_id = scope.subscription_id and rated.period_start = scope.period_start
    where rated.is_pooled and (rated.state = 'billable' or rated.is_counted_in_baseline)
    group by all
),

priced as (
    select
        subscription_id,
        period_start,
        window_no,
        case
            when is_cost then cast(cost as decimal(38, 18))
            else {{ times_ratio(nano('quantity'), 'rate_num', 'rate_den') }}
        end as usage,
        case
            when is_cost then cast(coalesce(cost_not_in_baseline, 0) as decimal(38, 18))
            else {{ times_ratio(nano('quantity_not_in_baseline'), 'rate_num', 'rate_den') }}
        end as usage_not_in_baseline,
        if(is_cost or 1000000000 % rate_den = 0, 0, 1) as roundings
    from summed
),

final as (
    select
        subscription_id,
        period_start,
        window_no,
        cast(sum(usage) as decimal(38, 18)) as usage,
        cast(sum(usage_not_in_baseline) as decimal(38, 18)) as usage_not_in_baseline,
        cast(sum(roundings) as bigint) as roundings
    from priced
    group by all
)

select * from final
