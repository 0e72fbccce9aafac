-- Usage of the periods in scope that the books do not hold added up yet: what enters tonight, and of stretches that are new or
-- say something else than before, all that there is. Per slice and meter, and in the pool per window of 24 hours.
with scope as (
    select * from {{ ref('int_periods__scope') }}
),

known as (
    select stretches.slice_no
    from {{ ref('int_periods__stretches') }} as stretches
    inner join {{ source('books', 'stretches') }} as before
        on
            stretches.subscription_id = before.subscription_id
            and stretches.from_at = before.from_at
            and stretches.said = before.said
    where before.is_added
),

unknown as (
    select scope.* from scope anti join known on scope.slice_no = known.slice_no
),

new_entries as (
    select entries.*, settings.as_of as entered_at
    from {{ ref('int_ledger__new') }} as entries
    cross join {{ source('catalog', 'settings') }} as settings
),

old_entries as (
    select * from {{ source('books', 'ledger') }}
),

rated_new as (
    {{ rated('new_entries', 'scope', join='inner') }}
),

rated_old as (
    {{ rated('old_entries', 'unknown', join='inner') }}
),

rated as (
    select slice_no, meter, is_pooled, window_no, is_counted_in_baseline, aggregate, state, quantity, cost from rated_new
    union all
    select slice_no, meter, is_pooled, window_no, is_counted_in_baseline, aggregate, state, quantity, cost from rated_old
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
