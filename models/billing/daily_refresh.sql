-- What each 24-hour window of a period used, and what refresh gave back of it.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

windows as (
    select
        windows.subscription_id, windows.period_start, windows.window_start, windows.usage, windows.allowance, windows.refresh
    from {{ ref('int_refresh__windows') }} as windows
    semi join (select * from {{ ref('int_periods__open') }} where not is_closing) as periods
        on windows.subscription_id = periods.subscription_id and windows.period_start = periods.period_start
    union all
    select
        daily_refresh.subscription_id, daily_refresh.period_start, daily_refresh.window_start, daily_refresh.usage,
        daily_refresh.allowance, daily_refresh.refresh
    from {{ source('books', 'daily_refresh') }} as daily_refresh
    semi join settings on daily_refresh.book = settings.book
),

final as (
    select
        subscription_id,
        {{ instant('period_start') }} as period_start,
        {{ instant('window_start') }} as window_start,
        {{ shown('usage') }} as usage,
        {{ shown('allowance') }} as allowance,
        {{ shown('refresh') }} as refresh
    from windows
)

select * from final
