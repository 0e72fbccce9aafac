-- What each metered charge of the periods in scope counts: its aggregate as whole units over a denominator, and the events.
-- Units stand for `digits` fractional digits; only a level averaged over time has a denominator other than 1.
with scope as (
    select * from {{ ref('int_periods__scope') }}
),

plans as (
    select distinct subscription_id, period_start, period_us, plan, version_from, catalog_id, list_no from scope
),

charges as (
    select
        plans.subscription_id,
        plans.period_start,
        plans.catalog_id,
        plans.plan,
        plans.version_from,
        charges.meter,
        charges.aggregate,
        if(charges.aggregate = 'time_weighted', plans.period_us, 1) as denominator
    from plans
    inner join {{ ref('int_catalogue__charges') }} as charges
        on plans.list_no = charges.list_no
    where not charges.is_pooled
),

counted as (
    select
        scope.subscription_id,
        scope.period_start,
        scope.plan,
        added.meter,
        cast(sum(added.events) as bigint) as events,
        sum(added.quantity) as quantity,
        sum(added.cost) as cost
    from {{ ref('int_usage__added') }} as added
    inner join scope on added.slice_no = scope.slice_no
    where added.window_no is null
    group by scope.subscription_id, scope.period_start, scope.plan, added.meter
),

final as (
    select
        charges.*,
        coalesce(counted.events, 0) as events,
        coalesce(
            case charges.aggregate
                when 'cost' then {{ femto('counted.cost') }}
                when 'sum' then {{ nano('counted.quantity') }}
                when 'count' then {{ whole('counted.events') }} * 1000000000
                when 'time_weighted' then levels.level_us
                else picked.units
            end,
            0
        ) as units,
        coalesce(picked.clamped, 0) as clamped
    from charges
    left join counted
        on
            charges.subscription_id = counted.subscription_id
            and charges.period_start = counted.period_start
            and charges.plan = counted.plan
            and charges.meter = counted.meter
    left join {{ ref('int_usage__picked') }} as picked
        on
            charges.subscription_id = picked.subscription_id
            and charges.period_start = picked.period_start
            and charges.plan = picked.plan
            and charges.meter = picked.meter
    left join {{ ref('int_usage__levels') }} as levels
        on
            charges.subscription_id = levels.subscription_id
            and charges.period_start = levels.period_start
            and charges.plan = levels.plan
            and charges.meter = levels.meter
)

select * from final
