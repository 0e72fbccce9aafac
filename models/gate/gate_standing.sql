-- What each open period, and each that closes tonight, stands at; kept by the night that is posted. A night done again finds
-- those it has closed in what it kept.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

seats as (
    select subscription_id, period_start, arg_max(seats, slice_no) as seats
    from {{ ref('int_periods__slices') }}
    group by all
),

reckoned as (
    select
        settings.as_of,
        settings.book,
        periods.subscription_id,
        periods.account_id,
        periods.period_start,
        periods.period_end,
        periods.plan,
        seats.seats,
        periods.currency,
        periods.included,
        periods.baseline,
        cast(periods.usage + periods.metered as decimal(38, 18)) as gross,
        periods.owed,
        periods.billed_minor
    from {{ ref('int_periods__reckoned') }} as periods
    cross join settings
    inner join seats on periods.subscription_id = seats.subscription_id and periods.period_start = seats.period_start
    where not periods.is_closed and periods.period_start <= settings.as_of
),

kept as (
    select kept.*
    from {{ source('gate', 'periods_seen') }} as kept
    semi join settings on kept.as_of = settings.as_of and kept.book = settings.book
    anti join reckoned on kept.subscription_id = reckoned.subscription_id and kept.period_start = reckoned.period_start
),

final as (
    select * from reckoned
    union all by name
    select * from kept
)

select * from final
