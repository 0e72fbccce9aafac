-- Every comparison with the hours that tonight looks at. Whole hours only, and none before it has settled.
--   from_at .. until_at         what is compared: the last week, or as long as parity must be clean
--   watched_from .. until_at    where an alert is a warning of the night
--   clean_from .. clean_until   where parity must be clean to go live: before bill_from, as the old side stops there
--   live_from                   in the live book, bill_from: where the old side may stop
-- Until the live book has begun, the hours before bill_from are compared too, however long ago they are.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

going_live as (
    select
        settings.book = 'live'
        and not exists (
            select 1 from {{ source('books', 'decisions') }} as decisions
            where decisions.decision = 'go_live' and decisions.as_of < settings.as_of
        )
        and not exists (
            select 1 from {{ source('books', 'closes') }} as closes
            where closes.book = 'live' and closes.closed_at < settings.as_of
        )
        and not exists (
            select 1 from {{ source('books', 'lines') }} as lines
            where lines.book = 'live' and lines.created_as_of < settings.as_of
        ) as is_going_live
    from settings
),

ended as (
    select
        parity.*,
        settings.bill_from,
        if(settings.book = 'live', settings.bill_from, null) as live_from,
        going_live.is_going_live,
        cast(date_trunc('hour', settings.as_of - {{ microseconds('parity.settle_us') }}) as timestamp) as until_at
    from {{ source('catalog', 'parity') }} as parity
    cross join settings
    cross join going_live
),

windows as (
    select
        *,
        until_at - {{ microseconds('clean_for_us') }} as watched_from,
        least(until_at, cast(date_trunc('hour', bill_from) as timestamp)) as clean_until,
        least(until_at, cast(date_trunc('hour', bill_from) as timestamp)) - {{ microseconds('clean_for_us') }} as clean_from
    from ended
),

final as (
    select
        *,
        least(
            until_at - {{ microseconds('greatest(604800000000, clean_for_us)') }},
            if(is_going_live, clean_from, null)
        ) as from_at
    from windows
)

select * from final
