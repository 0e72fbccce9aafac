-- The slices of a period follow each other without a gap from its start to its end, and no two periods of a subscription
-- overlap: every instant has one price list. Only a period told by the processor may reach beyond the subscription's life.
{{ config(meta={'dagster': {'ref': {'name': 'int_periods__slices'}}}) }}

with slices as (
    select
        subscription_id,
        period_start,
        period_end,
        slice_start,
        slice_end,
        is_closed
        or (subscription_id, period_start) in (
            select (subscription_id, period_start) from {{ source('catalog', 'told_periods') }}
        ) as may_reach_beyond,
        lag(period_start) over subscription as previous_period_start,
        lag(slice_end) over subscription as previous_end,
        lead(period_start) over subscription as next_period_start
    from {{ ref('int_periods__slices') }}
    window subscription as (partition by subscription_id order by slice_start, slice_end)
)

select *
from slices
where
    slice_start >= slice_end
    or slice_start < previous_end
    or slice_start < period_start
    or slice_end > period_end
    or (period_start is distinct from previous_period_start and slice_start <> period_start and not may_reach_beyond)
    or (period_start = previous_period_start and slice_start <> previous_end)
    or (period_start is distinct from next_period_start and slice_end <> period_end and not may_reach_beyond)
