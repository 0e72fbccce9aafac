-- What does not add up, per period in scope, plan and meter: the greatest and the latest quantity, how many different ones there
-- were, and what every single event owes within its least and most. Of what the books have kept of their rows, and of the rows
-- that they have not looked at yet.
with picks as (
    select slice_no, meter, of_value, quantity, occurred_at, key_hi, key_lo, clamped from ({{ kept('picks') }}) as kept
    union all
    select slice_no, meter, of_value, quantity, occurred_at, key_hi, key_lo, clamped from {{ ref('int_usage__fresh_picks') }}
),

final as (
    {{ picked('picks') }}
)

select * from final
