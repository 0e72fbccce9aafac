-- What each metered charge of the periods in scope counts: its aggregate as whole units over a denominator, and the events.
-- Units stand for `digits` fractional digits; only a level averaged over time has a denominator other than 1.
with slices as (
    select * from {{ ref('int_periods__slices') }}
),

scope as (
    select distinct subscription_id, period_start, period_us, plan, version_from, catalog_id
    from {{ ref('int_periods__scope') }}
),

charges as (
    select
        scope.subscription_id,
        scope.period_start,
        scope.period_us,
        charges.*
    from scope
    inner join {{ ref('int_catalogue__charges') }} as charges
        on
            scope.catalog_id = charges.catalog_id
            and scope.plan = charges.plan
            and scope.version_from = charges.version_from
    where not charges.is_pooled
),

entries as (
    select *
    from {{ ref('int_ledger__entries') }}
    where
        subscription_id in (select subscription_id from charges)
        and occurred_at >= (select min(period_start) from charges)
        and meter in (select meter from charges where aggregate <> 'time_weighted')
),

rated as (
    {{ rated('entries', 'slices') }}
),

counted as (
    select
        charges.subscription_id,
        charges.period_start,
        charges.plan,
        charges.meter,
        count(*) as events,
        case any_value(charges.aggregate)
            when 'cost' then {{ femto('sum(rated.cost)') }}
            when 'sum' then {{ nano('sum(rated.quantity)') }}
            when 'count' then cast(count(*) as hugeint) * 1000000000
            when 'max' then {{ nano('max(rated.quantity)') }}
            when 'latest' then {{ nano('arg_max(rated.quantity, (rated.occurred_at, rated.key_hi, rated.key_lo))') }}
            when 'unique_count'
                then cast(
                        count(
                            distinct if(
                                charges.of_field = 'actor',
                                rated.actor,
                                json_extract_string(rated.context, {{ json_pointer('charges.of_field') }})
                            )
                        ) as hugeint
                    ) * 1000000000
        end as units,
        cast(
            sum(
                case
                    when charges.is_clamped
                        then least(
                                greatest(
                                    charges.fixed + case charges.aggregate
                                        when 'cost'
                                            then {{ times_ratio(
                                                femto('rated.cost'), 'charges.rate_num', 'charges.rate_den', 15
                                            ) }}
                                        else {{ times_ratio(nano('rated.quantity'), 'charges.rate_num', 'charges.rate_den') }}
                                    end,
                                    charges.min_amount
                                ),
                                charges.max_amount
                            )
                end
            ) as decimal(38, 18)
        ) as clamped
    from rated
    inner join charges
        on
            rated.subscription_id = charges.subscription_id
            and rated.period_start = charges.period_start
            and rated.plan = charges.plan
            and rated.meter = charges.meter
    where rated.state = 'billable'
    group by all
),

final as (
    select
        charges.*,
        coalesce(counted.events, 0) as events,
        coalesce(counted.units, levels.level_us, 0) as units,
        if(charges.aggregate = 'time_weighted', charges.period_us, 1) as denominator,
        coalesce(counted.clamped, 0) as clamped
    from charges
    left join counted
        on
            charges.subscription_id = counted.subscription_id
            and charges.period_start = counted.period_start
            and charges.plan = counted.plan
            and charges.meter = counted.meter
    left join {{ ref('int_usage__levels') }} as levels
        on
            charges.subscription_id = levels.subscription_id
            and charges.period_start = levels.period_start
            and charges.plan = levels.plan
            and charges.meter = levels.meter
)

select * from final
