-- Usage of the periods in scope that is charged for, added up: per slice and meter, and in the pool per window of 24 hours
-- from the period's start. What the books hold added up already, and what they do not; whatever comes after it reads sums.
with kept as (
    select stretches.slice_no, added.*
    from {{ source('books', 'added') }} as added
    inner join {{ source('books', 'stretches') }} as before on added.stretch_no = before.stretch_no and before.is_added
    inner join {{ ref('int_periods__stretches') }} as stretches
        on
            before.subscription_id = stretches.subscription_id
            and before.from_at = stretches.from_at
            and before.said = stretches.said
    inner join {{ ref('int_periods__scope') }} as scope on stretches.slice_no = scope.slice_no
),

sums as (
    select slice_no, meter, window_no, is_counted_in_baseline, events, quantity, cost from kept
    union all
    select slice_no, meter, window_no, is_counted_in_baseline, events, quantity, cost from {{ ref('int_usage__fresh') }}
),

final as (
    select
        slice_no,
        meter,
        window_no,
        is_counted_in_baseline,
        cast(sum(events) as bigint) as events,
        cast(sum(quantity) as decimal(38, 9)) as quantity,
        cast(sum(cost) as decimal(38, 15)) as cost
    from sums
    group by slice_no, meter, window_no, is_counted_in_baseline
)

select * from final
