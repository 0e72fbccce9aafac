-- Pooled usage of the periods in scope, summed per window of 24 hours from the period's start.
-- `usage` is what the window used; `usage_not_in_baseline` is the part of it that a baseline has not counted already.
with added as (
    select * from {{ ref('int_usage__added') }} where window_no is not null
),

-- Of each slice what is pooled and at which price. Periods are numbered for the sums below.
pooled as (
    select
        scope.slice_no,
        scope.subscription_id,
        scope.period_start,
        charges.meter,
        charges.aggregate = 'cost' as is_cost,
        charges.rate_num,
        charges.rate_den,
        charges.rate_exact,
        min(scope.slice_no) over (partition by scope.subscription_id, scope.period_start) as period_no
    from {{ ref('int_periods__scope') }} as scope
    inner join {{ ref('int_catalogue__charges') }} as charges
        on scope.list_no = charges.list_no
    where charges.is_pooled
),

periods as (
    select distinct period_no, subscription_id, period_start from pooled
),

exact as (
    select
        pooled.period_no,
        added.window_no,
        added.is_counted_in_baseline,
        if(pooled.is_cost, cast(added.cost as decimal(38, 18)), added.quantity * pooled.rate_exact) as usage
    from added
    inner join pooled on added.slice_no = pooled.slice_no and added.meter = pooled.meter
    where pooled.is_cost or pooled.rate_exact is not null
),

-- Quantities are added up before they are priced, so that a price without an end (1/3) is divided once and not per row.
summed as (
    select
        pooled.period_no,
        pooled.rate_num,
        pooled.rate_den,
        added.window_no,
        {{ nano('sum(added.quantity)') }} as units,
        {{ nano('coalesce(sum(added.quantity) filter (where not added.is_counted_in_baseline), 0)') }} as units_not_in_baseline
    from added
    inner join pooled on added.slice_no = pooled.slice_no and added.meter = pooled.meter
    where not pooled.is_cost and pooled.rate_exact is null
    group by pooled.period_no, pooled.rate_num, pooled.rate_den, added.window_no
),

used as (
    select
        period_no,
        window_no,
        cast(sum(usage) as decimal(38, 18)) as usage,
        cast(sum(usage_not_in_baseline) as decimal(38, 18)) as usage_not_in_baseline,
        cast(sum(roundings) as bigint) as roundings
    from (
        select
            period_no,
            window_no,
            usage,
            if(is_counted_in_baseline, 0, usage) as usage_not_in_baseline,
            0 as roundings
        from exact
        union all
        select
            period_no,
            window_no,
            {{ times_ratio('units', 'rate_num', 'rate_den') }} as usage,
            {{ times_ratio('units_not_in_baseline', 'rate_num', 'rate_den') }} as usage_not_in_baseline,
            greatest(
                {{ is_rounded('units', 'rate_num', 'rate_den') }},
                {{ is_rounded('units_not_in_baseline', 'rate_num', 'rate_den') }}
            ) as roundings
        from summed
    ) as priced
    group by period_no, window_no
),

final as (
    select periods.subscription_id, periods.period_start, used.* {{ but('period_no') }}
    from used
    inner join periods on used.period_no = periods.period_no
)

select * from final
