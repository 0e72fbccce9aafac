-- How old what each source brought tonight is, against the last weeks. Money by currency.
with compared as (
    select * from {{ ref('gate_compared') }}
),

seen as (
    select *
    from (
        {{ usage_seen() }}
    ) as seen
    where age_hours is not null
),

aged as (
    select landed_at, source, age_hours, sum(usages) as usages
    from seen
    group by all
),

cumulated as (
    select
        *,
        sum(usages) over (partition by landed_at, source order by age_hours) as up_to,
        sum(usages) over (partition by landed_at, source) as all_usages
    from aged
),

ages as (
    select
        landed_at,
        source,
        any_value(all_usages) as usages,
        min(age_hours) filter (where 2 * up_to >= all_usages) as median_hours,
        coalesce(sum(usages) filter (where age_hours >= 72), 0) as old_usages
    from cumulated
    group by all
),

usual as (
    select
        compared.judged_at,
        ages.source,
        count(*) as nights_known,
        median(ages.median_hours) as median_hours,
        sum(ages.old_usages) / sum(ages.usages) as old_share
    from compared
    inner join ages on compared.as_of = ages.landed_at
    where not compared.is_between
    group by all
),

money as (
    select landed_at, source, currency, sum(amount) as amount, sum(usages) as usages
    from seen
    where currency is not null
    group by all
),

charged as (
    select meters.landed_at, meters.source, charged.currency, sum(charged.owed) as owed
    from (select distinct landed_at, source, meter from seen) as meters
    inner join {{ ref('gate_charged') }} as charged on meters.meter = charged.meter
    group by all
),

final as (
    select
        usual.judged_at as night,
        ages.source,
        ages.usages,
        usual.nights_known,
        ages.median_hours,
        usual.median_hours as usual_median_hours,
        -- The median of so many rows of a day is off by chance, the less the more they are.
        abs(ages.median_hours - usual.median_hours) - 30 / sqrt(ages.usages) as moved_hours,
        ages.old_usages,
        {{ surely_above('ages.old_usages', 'ages.usages', 'usual.old_share') }} as old_above_usual,
        money.currency,
        cast(coalesce(nullif(money.amount, 0), charged.owed) as decimal(38, 12)) as at_stake
    from usual
    inner join ages on usual.judged_at = ages.landed_at and usual.source = ages.source
    left join money on ages.landed_at = money.landed_at and ages.source = money.source
    left join charged
        on ages.landed_at = charged.landed_at and ages.source = charged.source and money.currency = charged.currency
)

select * from final
