-- The periods tonight reckons: every open one, and the closed ones that something arrived for.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

slices as (
    select * from {{ ref('int_periods__slices') }}
),

-- A late change of a level also moves the closed periods after it that it landed in time for.
levels as (
    select
        slices.subscription_id,
        slices.account_id,
        slices.period_start,
        slices.period_end,
        slices.period_end + {{ microseconds('slices.late_window_us') }} as late_at,
        charges.meter
    from slices
    inner join {{ ref('int_catalogue__charges') }} as charges
        on slices.list_no = charges.list_no
    where slices.is_closed and charges.aggregate = 'time_weighted'
),

-- A book that goes on after nights of the other one has not reckoned with what they entered.
resting as (
    select max(passes.as_of) filter (where passes.book = settings.book) as since_at
    from {{ source('books', 'passes') }} as passes
    cross join settings
    where passes.is_posted
    having
        max(passes.pass_no) filter (where passes.book = settings.book)
        < max(passes.pass_no) filter (where passes.book <> settings.book)
),

entries as (
    select subscription_id, account_id, meter, occurred_at, landed_at
    from {{ ref('int_ledger__new') }}
    union all
    select ledger.subscription_id, ledger.account_id, ledger.meter, ledger.occurred_at, ledger.landed_at
    from {{ source('books', 'ledger') }} as ledger
    where ledger.entered_at >= (select resting.since_at from resting)
),

arrived as (
    select levels.subscription_id, levels.period_start
    from entries
    inner join levels
        on
            entries.account_id = levels.account_id
            and entries.meter = levels.meter
            and entries.occurred_at < levels.period_end
            and entries.landed_at <= levels.late_at
    union
    select slices.subscription_id, slices.period_start
    from entries
    inner join ({{ paged('slices') }}) as slices
        on {{ falls_in('entries', 'slices') }}
    where slices.is_closed
),

final as (
    select slices.*
    from slices
    left join arrived on slices.subscription_id = arrived.subscription_id and slices.period_start = arrived.period_start
    where not slices.is_closed or arrived.subscription_id is not null
)

select * from final
