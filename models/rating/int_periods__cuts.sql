-- Every period, closed and open, cut where the terms change: one row per stretch under one price list. Closed periods come
-- as they were at their close, so that whatever arrives late is reckoned with the catalogue, terms and baseline of then.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

open_periods as (
    select * from {{ ref('int_periods__open') }}
),

terms as (
    select * from {{ source('catalog', 'terms') }}
),

stretches as (
    select
        open_periods.*,
        terms.plan,
        terms.seats,
        greatest(terms.starts_at, open_periods.period_start) as slice_start,
        least(coalesce(terms.ends_at, open_periods.period_end), open_periods.period_end) as slice_end
    from open_periods
    inner join terms
        on
            open_periods.subscription_id = terms.subscription_id
            and terms.starts_at < open_periods.period_end
            and coalesce(terms.ends_at, {{ forever() }}) > open_periods.period_start
    union all
    select
        open_periods.*,
        settings.default_plan as plan,
        1 as seats,
        open_periods.period_start as slice_start,
        open_periods.period_end as slice_end
    from open_periods
    cross join settings
    where open_periods.subscription_id like 'default:%'
),

final as (
    select
        stretches.subscription_id,
        stretches.account_id,
        stretches.currency,
        stretches.period_start,
        stretches.period_end,
        stretches.period_us,
        false as is_closed,
        stretches.is_closing,
        stretches.baseline,
        stretches.slice_start,
        stretches.slice_end,
        stretches.plan,
        stretches.seats,
        settings.catalog_id,
        versions.version_from,
        versions.included,
        versions.refresh_allowance,
        versions.is_overage,
        versions.threshold,
        versions.minimum,
        settings.late_window_us,
        settings.bill_from,
        settings.ledger_cutover,
        cast(null as timestamp) as closed_at
    from stretches
    cross join settings
    left join {{ source('catalog', 'plan_versions') }} as versions
        on
            stretches.plan = versions.plan
            and stretches.period_start >= versions.version_from
            and stretches.period_start < coalesce(versions.version_to, {{ forever() }})
    union all
    select
        close_slices.subscription_id,
        close_slices.account_id,
        close_slices.currency,
        close_slices.period_start,
        close_slices.period_end,
        close_slices.period_us,
        true as is_closed,
        false as is_closing,
        close_slices.baseline,
        close_slices.slice_start,
        close_slices.slice_end,
        close_slices.plan,
        close_slices.seats,
        close_slices.catalog_id,
        close_slices.version_from,
        close_slices.included,
        close_slices.refresh_allowance,
        close_slices.is_overage,
        close_slices.threshold,
        close_slices.minimum,
        close_slices.late_window_us,
        close_slices.bill_from,
        close_slices.ledger_cutover,
        close_slices.closed_at
    from {{ source('books', 'close_slices') }} as close_slices
    semi join settings on close_slices.book = settings.book
)

select * from final
