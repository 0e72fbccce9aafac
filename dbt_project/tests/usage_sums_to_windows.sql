-- Conservation from what was added up to windows: the pooled money of a period's usage is the money of its windows, and the
-- windows of refresh hold all of it but what lies after as_of. The two agree exactly; only where a price ends beyond the 18th
-- digit was each window rounded once, and so is the period here: half of that digit each is all that they may differ by.
{{ config(meta={'dagster': {'ref': {'name': 'int_usage__windows'}}}) }}

with by_price as (
    select
        scope.subscription_id,
        scope.period_start,
        charges.aggregate = 'cost' as is_cost,
        charges.rate_num,
        charges.rate_den,
        sum(added.cost) as cost,
        coalesce(sum(added.quantity), 0) as quantity
    from {{ ref('int_usage__added') }} as added
    inner join {{ ref('int_periods__scope') }} as scope on added.slice_no = scope.slice_no
    inner join {{ ref('int_catalogue__charges') }} as charges
        on scope.list_no = charges.list_no and added.meter = charges.meter
    where charges.is_pooled
    group by scope.subscription_id, scope.period_start, is_cost, charges.rate_num, charges.rate_den
),

by_row as (
    select
        subscription_id,
        period_start,
        sum(
            case
                when is_cost then cast(cost as decimal(38, 18))
                else {{ times_ratio(nano('quantity'), 'rate_num', 'rate_den') }}
            end
        ) as usage
    from by_price
    group by all
),

endless as (
    select distinct scope.subscription_id, scope.period_start, charges.rate_num, charges.rate_den, added.window_no
    from {{ ref('int_usage__added') }} as added
    inner join {{ ref('int_periods__scope') }} as scope on added.slice_no = scope.slice_no
    inner join {{ ref('int_catalogue__charges') }} as charges
        on scope.list_no = charges.list_no and added.meter = charges.meter
    where charges.is_pooled and charges.aggregate <> 'cost' and charges.rate_exact is null
),

rounded as (
    select subscription_id, period_start, count(*) + count(distinct (rate_num, rate_den)) as roundings
    from endless
    group by all
),

by_window as (
    select subscription_id, period_start, sum(usage) as usage
    from {{ ref('int_usage__windows') }}
    group by all
),

refreshed as (
    select windows.subscription_id, windows.period_start, sum(windows.usage) as usage
    from {{ ref('int_refresh__windows') }} as windows
    group by all
),

ahead as (
    select windows.subscription_id, windows.period_start, sum(windows.usage) as usage
    from {{ ref('int_usage__windows') }} as windows
    cross join {{ source('catalog', 'settings') }} as settings
    where windows.period_start + to_microseconds(windows.window_no * 86400000000) > settings.as_of
    group by all
),

sums as (
    select
        subscription_id,
        period_start,
        sum(usage) filter (where side = 'row') as by_row,
        sum(usage) filter (where side = 'window') as by_window,
        sum(usage) filter (where side in ('refresh', 'ahead')) as refreshed,
        coalesce(sum(roundings), 0) as roundings
    from (
        select *, 'row' as side from by_row
        union all by name
        select *, 'window' as side from by_window
        union all by name
        select *, 'refresh' as side from refreshed
        union all by name
        select *, 'ahead' as side from ahead
        union all by name
        select *, 'rounded' as side from rounded
    )
    group by all
)

select
    *,
    coalesce(by_row, 0) - coalesce(by_window, 0) as at_stake
from sums
where
    2 * abs(at_stake) > roundings * cast(0.000000000000000001 as decimal(38, 18))
    or coalesce(by_window, 0) <> coalesce(refreshed, 0)
