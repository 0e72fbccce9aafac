-- Which nights each night that is judged tonight is compared with: those before it that had about their usual time to
-- collect, for eight weeks. Judged are tonight and nights that were stopped and are in tonight's batch.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

before as (
    select runs.as_of
    from {{ source('books', 'runs') }} as runs
    inner join settings on runs.as_of < settings.as_of
    union
    select seen.landed_at
    from {{ source('gate', 'usage_seen') }} as seen
    inner join settings on seen.as_of < settings.as_of
),

-- A night done again finds the nights it has judged in what it kept.
judged as (
    select as_of from settings
    union
    select landed_at from {{ ref('gate_usage') }}
    union
    select seen.landed_at
    from {{ source('gate', 'usage_seen') }} as seen
    inner join settings on seen.as_of = settings.as_of
    except
    select as_of from before
),

gaps as (
    select
        as_of,
        {{ epoch_us('as_of') }} - {{ epoch_us('lag(as_of) over (order by as_of)') }} as gap
    from (
        select * from before
        union
        select * from judged
    ) as nights
),

-- A run by hand an hour after the night has hardly anything new; after a night left out there are two nights' files.
nights as (
    select
        as_of,
        coalesce(gap / (median(gap) over ()), 1) as share_of_gap
    from gaps
),

final as (
    select
        judged.as_of as judged_at,
        here.share_of_gap < 0.5 as is_between,
        if(here.share_of_gap > 1.5, here.share_of_gap, 1) as stretch,
        nights.as_of,
        dayofweek(nights.as_of) = dayofweek(judged.as_of) as is_same_weekday,
        row_number() over (
            partition by judged.as_of, dayofweek(nights.as_of) = dayofweek(judged.as_of) order by nights.as_of desc
        ) as nth,
        count(*) over (partition by judged.as_of) as nights
    from judged
    inner join nights as here on judged.as_of = here.as_of
    inner join before on judged.as_of > before.as_of and before.as_of >= judged.as_of - interval 56 day
    inner join nights on before.as_of = nights.as_of and nights.share_of_gap between 0.5 and 1.5
)

select * from final
