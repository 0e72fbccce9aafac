-- The refresh windows, begun by as_of, of the periods in scope. What a window gives back is what it used, up to the allowance
-- of the seats in force at its start; what it leaves unused is lost.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

slices as (
    select * from {{ ref('int_periods__scope') }}
),

periods as (
    select distinct subscription_id, period_start, period_us from slices
),

begun as (
    select
        periods.subscription_id,
        periods.period_start,
        {{ each_from(
            0,
            'least('
            ~ div('(periods.period_us - 1)', 86400000000) ~ ', '
            ~ div('(' ~ epoch_us('settings.as_of') ~ ' - ' ~ epoch_us('periods.period_start') ~ ')', 86400000000)
            ~ ')'
        ) }} as window_no
    from periods
    cross join settings
    where periods.period_start <= settings.as_of
),

windows as (
    select
        *,
        period_start + {{ microseconds('window_no * 86400000000') }} as window_start
    from begun
),

allowed as (
    select
        windows.*,
        cast(coalesce(slices.refresh_allowance * slices.seats, 0) as decimal(38, 18)) as allowance
    from windows
    left join slices
        on
            windows.subscription_id = slices.subscription_id
            and windows.period_start = slices.period_start
            and windows.window_start >= slices.slice_start
            and windows.window_start < slices.slice_end
),

final as (
    select
        allowed.subscription_id,
        allowed.period_start,
        allowed.window_no,
        allowed.window_start,
        cast(coalesce(pooled.usage, 0) as decimal(38, 18)) as usage,
        allowed.allowance,
        cast(least(greatest(coalesce(pooled.usage, 0), 0), allowed.allowance) as decimal(38, 18)) as refresh
    from allowed
    left join {{ ref('int_usage__windows') }} as pooled
        on
            allowed.subscription_id = pooled.subscription_id
            and allowed.period_start = pooled.period_start
            and allowed.window_no = pooled.window_no
)

select * from final
