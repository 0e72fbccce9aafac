-- What the pooled usage of each period in scope comes to: baseline and usage, less refresh, beyond what is included.
{%- set included = femto('sum(included * seats * (' ~ div('slice_us', 'unit_us') ~ '))') ~ ' * 1000' -%}
{%- set period = 'any_value(' ~ div('period_us', 'unit_us') ~ ')' %}
with slices as (
    select
        scope.*,
        {{ epoch_us('slice_end') }} - {{ epoch_us('slice_start') }} as slice_us,
        {{ is_before_book('settings.book', 'scope.period_end', 'scope.bill_from') }} as is_before_book
    from {{ ref('int_periods__scope') }} as scope
    cross join {{ source('catalog', 'settings') }} as settings
),

-- Seconds where all bounds are whole seconds, else microseconds: the smaller numbers leave money more room.
measured as (
    select
        *,
        if(
            period_us % 1000000 = 0 and bool_and(slice_us % 1000000 = 0) over (partition by subscription_id, period_start),
            1000000, 1
        ) as unit_us
    from slices
),

periods as (
    select
        subscription_id,
        any_value(account_id) as account_id,
        any_value(currency) as currency,
        period_start,
        any_value(period_end) as period_end,
        bool_or(is_closed) as is_closed,
        bool_or(is_closing) as is_closing,
        coalesce(any_value(baseline), 0) as baseline,
        max_by(plan, slice_no) as plan,
        max_by(is_overage, slice_no) as is_overage,
        nullif(max_by(coalesce(threshold, -1), slice_no), -1) as threshold,
        max_by(if(is_before_book, 0, minimum), slice_no) as minimum,
        {{ money(divide_round(included, period)) }} as included,
        if({{ included }} % {{ period }} <> 0, 1, 0) as included_roundings
    from measured
    group by subscription_id, period_start
),

usage as (
    select
        subscription_id,
        period_start,
        cast(sum(usage_not_in_baseline) as decimal(38, 18)) as usage,
        sum(roundings) as roundings
    from {{ ref('int_usage__windows') }}
    group by all
),

refresh as (
    select subscription_id, period_start, cast(sum(refresh) as decimal(38, 18)) as refresh
    from {{ ref('int_refresh__windows') }}
    group by all
),

summed as (
    select
        periods.*,
        cast(coalesce(usage.usage, 0) as decimal(38, 18)) as usage,
        cast(coalesce(refresh.refresh, 0) as decimal(38, 18)) as refresh,
        cast(
            greatest(periods.baseline + coalesce(usage.usage, 0) - coalesce(refresh.refresh, 0), 0) as decimal(38, 18)
        ) as effective,
        -- Of usage, of the refresh of the same windows, and of what is included.
        2 * coalesce(usage.roundings, 0) + included_roundings as roundings
    from periods
    left join usage on periods.subscription_id = usage.subscription_id and periods.period_start = usage.period_start
    left join refresh on periods.subscription_id = refresh.subscription_id and periods.period_start = refresh.period_start
),

final as (
    select
        * {{ but('roundings, included_roundings') }},
        {{ meant('cast(if(is_overage, greatest(effective - included, 0), 0) as decimal(38, 18))', 'roundings') }} as overage
    from summed
)

select * from final
