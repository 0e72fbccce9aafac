-- What each open period, and each that closes tonight, stands at; kept by the night that is posted. A night done again finds
-- those it has closed in what it kept.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

last_slices as (
    select
        subscription_id,
        period_start,
        max_by(seats, slice_no) as seats,
        max_by(version_from, slice_no) as version_from
    from {{ ref('int_periods__slices') }}
    group by all
),

charges as (
    select * from {{ source('catalog', 'charges') }}
),

segments as (
    select * from {{ source('catalog', 'segments') }}
),

-- All that a price list says, as one word: two that say the same are the same.
listed_charges as (
    select plan, version_from, string_agg(cast(charges as string), '|' order by meter) as listed
    from charges
    group by all
),

listed_segments as (
    select plan, version_from, string_agg(cast(segments as string), '|' order by meter, segment_no) as listed
    from segments
    group by all
),

price_lists as (
    select
        versions.plan,
        versions.version_from,
        md5(concat_ws(
            '|', versions.included, versions.refresh_allowance, versions.is_overage, versions.threshold, versions.minimum,
            listed_charges.listed, listed_segments.listed
        )) as price_list
    from {{ source('catalog', 'plan_versions') }} as versions
    left join listed_charges
        on versions.plan = listed_charges.plan and versions.version_from = listed_charges.version_from
    left join listed_segments
        on versions.plan = listed_segments.plan and versions.version_from = listed_segments.version_from
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
        last_slices.seats,
        last_slices.version_from,
        price_lists.price_list,
        periods.currency,
        periods.included,
        periods.baseline,
        cast(periods.usage + periods.metered as decimal(38, 18)) as gross,
        periods.owed,
        periods.billed_minor
    from {{ ref('int_periods__reckoned') }} as periods
    cross join settings
    inner join last_slices
        on periods.subscription_id = last_slices.subscription_id and periods.period_start = last_slices.period_start
    left join price_lists on periods.plan = price_lists.plan and last_slices.version_from = price_lists.version_from
    where not periods.is_closed and periods.period_start <= settings.as_of
),

kept as (
    select kept.*
    from {{ source('gate', 'periods_seen') }} as kept
    semi join settings on kept.as_of = settings.as_of and kept.book = settings.book
    anti join reckoned on kept.subscription_id = reckoned.subscription_id and kept.period_start = reckoned.period_start
),

final as (
    select
        as_of, book, subscription_id, account_id, period_start, period_end, plan, seats, version_from, price_list, currency,
        included, baseline, gross, owed, billed_minor
    from reckoned
    union all
    select
        as_of, book, subscription_id, account_id, period_start, period_end, plan, seats, version_from, price_list, currency,
        included, baseline, gross, owed, billed_minor
    from kept
)

select * from final
