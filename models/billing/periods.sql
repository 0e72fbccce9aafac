-- Billing periods begun: closed ones as they were at their close, open ones as they stand tonight.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

periods as (
    select
        closes.account_id, closes.subscription_id, closes.plan, closes.period_start, closes.period_end, closes.currency,
        closes.baseline, closes.usage, closes.refresh, closes.effective, closes.included, closes.overage, closes.metered,
        closes.minimum, closes.owed, closes.billed_minor,
        closes.closed_at, 'closed' as state
    from {{ source('books', 'closes') }} as closes
    semi join settings on closes.book = settings.book
    union all
    select
        reckoned.account_id, reckoned.subscription_id, reckoned.plan, reckoned.period_start, reckoned.period_end,
        reckoned.currency, reckoned.baseline, reckoned.usage, reckoned.refresh, reckoned.effective, reckoned.included,
        reckoned.overage, reckoned.metered, reckoned.minimum, reckoned.owed, reckoned.billed_minor,
        null as closed_at, 'open' as state
    from {{ ref('int_periods__reckoned') }} as reckoned
    cross join settings
    where not reckoned.is_closed and not reckoned.is_closing and reckoned.period_start <= settings.as_of
),

-- The terms in force last in the period decide.
limits as (
    select
        subscription_id,
        period_start,
        nullif(max_by(coalesce(threshold, -1), slice_start), -1) as threshold,
        max_by(minimum, slice_start) as minimum_at_close
    from {{ ref('int_periods__slices') }}
    group by all
),

final as (
    select
        periods.account_id,
        periods.subscription_id,
        periods.plan,
        {{ instant('periods.period_start') }} as period_start,
        {{ instant('periods.period_end') }} as period_end,
        periods.state,
        periods.currency,
        {{ shown('baseline') }} as baseline,
        {{ shown('usage') }} as usage,
        {{ shown('refresh') }} as refresh,
        {{ shown('effective') }} as effective,
        {{ shown('included') }} as included,
        {{ shown('overage') }} as overage,
        {{ shown('metered') }} as metered,
        {{ shown('minimum') }} as minimum,
        {{ shown('owed') }} as owed,
        billed_minor,
        {{ instant('closed_at') }} as closed_at,
        {{ shown('limits.threshold') }} as threshold,
        {{ shown('limits.minimum_at_close') }} as minimum_at_close
    from periods
    left join limits on periods.subscription_id = limits.subscription_id and periods.period_start = limits.period_start
)

select * from final
