-- Billing periods begun: closed ones as they were at their close, open ones as they stand tonight.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

periods as (
    select closes.*, 'closed' as state
    from {{ source('books', 'closes') }} as closes
    semi join settings on closes.book = settings.book
    union all by name
    select reckoned.* exclude (is_closed, is_closing), 'open' as state
    from {{ ref('int_periods__reckoned') }} as reckoned
    cross join settings
    where not reckoned.is_closed and not reckoned.is_closing and reckoned.period_start <= settings.as_of
),

final as (
    select
        account_id,
        subscription_id,
        plan,
        {{ instant('period_start') }} as period_start,
        {{ instant('period_end') }} as period_end,
        state,
        currency,
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
        {{ instant('closed_at') }} as closed_at
    from periods
)

select * from final
