-- What does not add up and is taken from the rows themselves, of usage of the periods in scope that the books do not hold added
-- up yet: per slice and meter the greatest or the latest row, each different value once, and what every single event owes
-- within its least and most.
with entries as (
    {{ not_added_yet() }}
),

final as (
    {{ picks('entries') }}
)

select * from final
