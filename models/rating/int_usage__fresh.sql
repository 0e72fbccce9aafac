-- Usage of the periods in scope that the books do not hold added up yet, added up: per slice and meter, and in the pool per
-- window of 24 hours.
with entries as (
    {{ not_added_yet() }}
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
    from entries
    group by slice_no, meter, if(is_pooled, window_no, null), is_counted_in_baseline
)

select * from final
