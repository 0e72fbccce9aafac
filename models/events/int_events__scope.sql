-- Which hours become meter events: none unless the live book is pushed as meter events. Hours before bill_from are consumed and
-- not sent; they stay so where bill_from is moved back after events were made by a later one.
with settings as (
    select * from {{ source('catalog', 'settings') }} where book = 'live' and push = 'meter_events'
),

final as (
    select
        settings.as_of,
        settings.bill_from,
        greatest(
            settings.bill_from, (select max(events.bill_from) from {{ source('books', 'meter_events') }} as events)
        ) as from_at,
        -- An hour is over once as_of has reached its end.
        cast(date_trunc('hour', settings.as_of) as timestamp) as until_at
    from settings
)

select * from final
