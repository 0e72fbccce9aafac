-- Pooled usage of the periods in scope, summed per window of 24 hours from the period's start.
-- `usage` is what the window used; `usage_not_in_baseline` is the part of it that a baseline has not counted already.
with added as (
    select * from {{ ref('int_usage__added') }} where window_no is not null
),

prices as (
    select
        scope.slice_no,
        scope.subscription_id,
        scope.period_start,
        charges.meter,
        charges.aggregate = 'cost' as is_cost,
        charges.rate_num,
        charges.rate_den
    from {{ ref('int_periods__scope') }} as scope
    inner join {{ ref('int_catalogue__charges') }} as charges
        on
            scope.catalog_id = charges.catalog_id
            and scope.plan = charges.plan
            and scope.version_from = charges.version_from
    where charges.is_pooled
),

-- Quantities are added up before they are priced, so that a price without an end (1/3) is divided once and not per row.
summed as (
    select
        prices.subscription_id,
        prices.period_start,
        added.window_no,
        prices.is_cost,
        prices.rate_num,
        prices.rate_den,
        coalesce(sum(added.cost), 0) as cost,
        coalesce(sum(added.cost) filter (where added.is_counted_in_baseline), 0) as cost_in_baseline,
        coalesce(sum(added.quantity), 0) as quantity,
        coalesce(sum(added.quantity) filter (where not added.is_counted_in_baseline), 0) as quantity_not_in_baseline
    from added
    inner join prices on added.slice_no = prices.slice_no and added.meter = prices.meter
    group by all
),

counted as (
    select
        *,
        {{ nano('quantity') }} as units,
        -- Of nearly all windows, which need not be priced twice, this is the same number.
        if(quantity_not_in_baseline = quantity, null, {{ nano('quantity_not_in_baseline') }}) as units_not_in_baseline
    from summed
),

priced as (
    select
        *,
        if(is_cost, cast(cost as decimal(38, 18)), {{ times_ratio('units', 'rate_num', 'rate_den') }}) as usage
    from counted
),

final as (
    select
        subscription_id,
        period_start,
        window_no,
        cast(sum(usage) as decimal(38, 18)) as usage,
        cast(
            sum(
                case
                    when is_cost then usage - cost_in_baseline
                    when units_not_in_baseline is null then usage
                    else {{ times_ratio('units_not_in_baseline', 'rate_num', 'rate_den') }}
                end
            ) as decimal(38, 18)
        ) as usage_not_in_baseline,
        cast(sum(if(is_cost or 1000000000 % rate_den = 0, 0, 1)) as bigint) as roundings
    from priced
    group by subscription_id, period_start, window_no
)

select * from final
