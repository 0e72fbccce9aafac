-- Pooled usage of the periods in scope, summed per window of 24 hours from the period's start.
-- `usage` is what the window used; `usage_not_in_baseline` is the part of it that a baseline has not counted already.
with added as (
    select * from {{ ref('int_usage__added') }} where window_no is not null
),

-- Of each slice what is pooled and at which price. Periods and prices are numbered for the sums below.
pooled as (
    select
        scope.slice_no,
        scope.subscription_id,
        scope.period_start,
        charges.meter,
        charges.aggregate = 'cost' as is_cost,
        charges.rate_num,
        charges.rate_den,
        min(scope.slice_no) over (partition by scope.subscription_id, scope.period_start) as period_no,
        dense_rank() over (order by charges.aggregate = 'cost', charges.rate_num, charges.rate_den) as price_no
    from {{ ref('int_periods__scope') }} as scope
    inner join {{ ref('int_catalogue__charges') }} as charges
        on scope.list_no = charges.list_no
    where charges.is_pooled
),

periods as (
    select distinct period_no, subscription_id, period_start from pooled
),

prices as (
    select distinct price_no, is_cost, rate_num, rate_den from pooled
),

-- Quantities are added up before they are priced, so that a price without an end (1/3) is divided once and not per row.
summed as (
    select
        pooled.period_no,
        pooled.price_no,
        added.window_no,
        sum(added.cost) as cost,
        coalesce(sum(added.cost) filter (where added.is_counted_in_baseline), 0) as cost_in_baseline,
        {{ nano('sum(added.quantity)') }} as units,
        {{ nano('sum(added.quantity) filter (where added.is_counted_in_baseline)') }} as units_in_baseline
    from added
    inner join pooled on added.slice_no = pooled.slice_no and added.meter = pooled.meter
    group by pooled.period_no, pooled.price_no, added.window_no
),

priced as (
    select
        summed.*,
        prices.is_cost,
        prices.rate_num,
        prices.rate_den,
        if(
            prices.is_cost,
            cast(summed.cost as decimal(38, 18)),
            {{ times_ratio('summed.units', 'prices.rate_num', 'prices.rate_den') }}
        ) as usage
    from summed
    inner join prices on summed.price_no = prices.price_no
),

used as (
    select
        period_no,
        window_no,
        cast(sum(usage) as decimal(38, 18)) as usage,
        cast(
            sum(
                case
                    when is_cost then usage - cost_in_baseline
                    -- Nearly all windows, which need not be priced twice.
                    when units_in_baseline is null then usage
                    else {{ times_ratio('(units - units_in_baseline)', 'rate_num', 'rate_den') }}
                end
            ) as decimal(38, 18)
        ) as usage_not_in_baseline,
        cast(sum(if(is_cost or 1000000000 % rate_den = 0, 0, 1)) as bigint) as roundings
    from priced
    group by period_no, window_no
),

final as (
    select periods.subscription_id, periods.period_start, used.* {{ but('period_no') }}
    from used
    inner join periods on used.period_no = periods.period_no
)

select * from final
