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
    where subscription_id in (select subscription_id from scope)
),

rated as (
    {{ rated('entries', 'slices') }}
),

final as (
    select
        rated.subscription_id,
        rated.period_start,
        rated.window_no,
        cast(sum(rated.amount) as decimal(38, 18)) as usage,
        cast(coalesce(sum(rated.amount) filter (where not rated.is_counted_in_baseline), 0) as decimal(38, 18))
            as usage_not_in_baseline
    from rated
    semi join scope on rated.subscription_id = scope.subscription_id and rated.period_start = scope.period_start
    where rated.is_pooled and (rated.state = 'billable' or rated.is_counted_in_baseline)
    group by all
)

select * from final
