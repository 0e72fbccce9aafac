-- Levels over time: for each charge on a time_weighted meter, the integral of the account's level (whole billionths x
-- microseconds) over the time its plan is in force in the period.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

stretches as (
    select
        slices.subscription_id,
        slices.account_id,
        slices.period_start,
        slices.plan,
        slices.slice_no,
        charges.meter,
        slices.period_end + {{ microseconds('slices.late_window_us') }} as late_at,
        greatest(slices.slice_start, coalesce(slices.bill_from, slices.slice_start)) as from_at,
        if(slices.is_closed or slices.is_closing, slices.slice_end, least(slices.slice_end, settings.as_of)) as to_at
    from {{ ref('int_periods__scope') }} as slices
    cross join settings
    inner join {{ ref('int_catalogue__charges') }} as charges
        on slices.list_no = charges.list_no
    where charges.aggregate = 'time_weighted'
),

-- The opening level stands as one change at the stretch's start; a change that landed after the period's late window
-- does not alter it.
changes as (
    select
        stretches.slice_no,
        stretches.meter,
        greatest(entries.occurred_at, stretches.from_at) as changed_at,
        sum(entries.quantity) as change
    from stretches
    inner join {{ ref('int_ledger__entries') }} as entries
        on
            stretches.account_id = entries.account_id
            and stretches.meter = entries.meter
            and stretches.to_at > entries.occurred_at
            and stretches.late_at >= entries.landed_at
    where stretches.from_at < stretches.to_at
    group by all
),

levels as (
    select
        slice_no,
        meter,
        changed_at,
        sum(change) over slice as level,
        lead(changed_at) over slice as until_at
    from changes
    window slice as (partition by slice_no, meter order by changed_at)
),

integrals as (
    select
        levels.slice_no,
        levels.meter,
        {{ whole(
            'sum(' ~ nano('greatest(levels.level, 0)') ~ ' * ('
            ~ epoch_us('coalesce(levels.until_at, stretches.to_at)') ~ ' - ' ~ epoch_us('levels.changed_at') ~ '))'
        ) }} as level_us
    from levels
    inner join stretches on levels.slice_no = stretches.slice_no and levels.meter = stretches.meter
    group by all
),

final as (
    select
        stretches.subscription_id,
        stretches.period_start,
        stretches.plan,
        stretches.meter,
        {{ whole('sum(integrals.level_us)') }} as level_us
    from stretches
    inner join integrals on stretches.slice_no = integrals.slice_no and stretches.meter = integrals.meter
    group by all
)

select * from final
