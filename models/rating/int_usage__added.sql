-- Usage of the periods in scope that is charged for, in sums: per slice and meter, and in the pool per window of 24 hours
-- from the period's start. What the books hold added up already, night by night, and beside it what they do not; whatever
-- comes after it reads sums, and adds them up by what it needs.
with kept as (
    {{ kept('added') }}
),

final as (
    select slice_no, meter, window_no, is_counted_in_baseline, events, quantity, cost from kept
    union all
    select slice_no, meter, window_no, is_counted_in_baseline, events, quantity, cost from {{ ref('int_usage__fresh') }}
)

select * from final
