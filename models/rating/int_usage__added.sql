-- Usage of the periods in scope that is charged for, added up: per slice and meter, and in the pool per window of 24 hours
-- from the period's start. The one pass over the ledger for all that adds up; whatever comes after it reads sums.
with scope as (
    select * from {{ ref('int_periods__scope') }}
),

entries as (
    select * from {{ ref('int_ledger__entries') }}
),

rated as (
    {{ rated('entries', 'scope', join='inner') }}
),

final as (
    select
        slice_no,
        meter,
        if(is_pooled, window_no, null) as window_no,
        is_counted_in_baseline,
        count(*) as events,
        sum(quantity) as quantity,
        sum(cost) as cost
    from rated
    where aggregate <> 'time_weighted' and (state = 'billable' or is_counted_in_baseline)
    group by slice_no, meter, if(is_pooled, window_no, null), is_counted_in_baseline
)

select * from final
