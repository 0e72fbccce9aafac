-- What each source and meter brought tonight against what it usually brings: volume against the same weekday's, share of
-- negatives and size of a usage against the last weeks'. Volume and negatives are those of a source and meter, and of a whole
-- source where meter is null; size and money stand by currency.
with compared as (
    select * from {{ ref('gate_compared') }}
),

seen as (
    {{ usage_seen() }}
),

-- Each meter of a source, and the source as a whole.
levels as (
    select landed_at, source, meter, currency, fate, usages, negatives, amount
    from seen
    where meter is not null
    union all
    select landed_at, source, null as meter, currency, fate, usages, negatives, amount
    from seen
),

totals as (
    select
        landed_at,
        source,
        meter,
        sum(usages) as usages,
        sum(negatives) as negatives
    from levels
    where fate <> 'duplicate'
    group by all
),

pairs as (
    select source, meter, min(landed_at) as first_at from totals group by all
),

nights as (
    select distinct judged_at, is_between, stretch, nights from compared
),

before as (
    select
        compared.judged_at,
        pairs.source,
        pairs.meter,
        count(*) as nights_known,
        count(*) filter (where compared.is_same_weekday and compared.nth <= 4) as weekdays_known,
        median(coalesce(totals.usages, 0)) filter (where compared.is_same_weekday and compared.nth <= 4) as weekday_usages,
        median(coalesce(totals.usages, 0)) as any_usages,
        min(coalesce(totals.usages, 0)) filter (where compared.is_same_weekday and compared.nth <= 4) as weekday_least,
        coalesce(sum(totals.negatives) / nullif(sum(totals.usages), 0), 0) as negative_share,
        max(totals.landed_at) as last_at
    from compared
    inner join pairs on compared.as_of >= pairs.first_at
    left join totals
        on
            compared.as_of = totals.landed_at
            and pairs.source = totals.source
            and pairs.meter is not distinct from totals.meter
    group by compared.judged_at, pairs.source, pairs.meter
),

usual as (
    select
        *,
        if(weekdays_known >= 2, weekday_usages, any_usages) as usual_usages
    from before
),

judged as (
    select
        nights.judged_at,
        nights.nights,
        nights.is_between,
        pairs.source,
        pairs.meter,
        coalesce(totals.usages, 0) as usages,
        coalesce(usual.nights_known, 0) as nights_known,
        coalesce(usual.usual_usages * nights.stretch, 0) as usual_usages,
        coalesce(usual.weekdays_known >= 2 and usual.weekday_least > 0, false) as is_always_there,
        usual.last_at,
        coalesce(totals.negatives, 0) as negatives,
        coalesce(usual.negative_share, 0) as usual_negative_share
    from nights
    inner join pairs on nights.judged_at >= pairs.first_at
    left join totals
        on
            nights.judged_at = totals.landed_at
            and pairs.source = totals.source
            and pairs.meter is not distinct from totals.meter
    left join usual
        on
            nights.judged_at = usual.judged_at
            and pairs.source = usual.source
            and pairs.meter is not distinct from usual.meter
),

-- What tonight's rows come to, or those of the last night that brought any; else what the charges come to that they move.
money as (
    select
        landed_at,
        source,
        meter,
        currency,
        sum(amount) as amount
    from levels
    where fate <> 'duplicate' and currency is not null
    group by all
),

-- The average of a few is no average; and costs of two currencies have none.
averages as (
    select
        landed_at,
        source,
        meter,
        currency,
        abs(sum(quantity)) / sum(usages) as quantity,
        abs(sum(cost)) / sum(usages) as cost
    from seen
    where fate in ('entered', 'default_plan', 'free')
    group by all
    having sum(usages) >= 10
),

usual_averages as (
    select
        compared.judged_at,
        averages.source,
        averages.meter,
        averages.currency,
        median(averages.quantity) as quantity,
        median(averages.cost) as cost
    from compared
    inner join averages on compared.as_of = averages.landed_at
    group by all
),

each as (
    select
        usual.judged_at,
        usual.source,
        usual.meter,
        usual.currency,
        averages.quantity,
        averages.cost,
        usual.quantity as usual_quantity,
        usual.cost as usual_cost
    from usual_averages as usual
    inner join averages
        on
            usual.judged_at = averages.landed_at
            and usual.source = averages.source
            and usual.meter = averages.meter
            and usual.currency = averages.currency
),

charged as (
    select * from {{ ref('gate_charged') }}
),

shown as (
    select
        judged.judged_at as night,
        judged.nights,
        judged.source,
        judged.meter,
        judged.usages,
        judged.usual_usages,
        judged.nights_known,
        judged.nights_known = 0 as is_new,
        judged.usages = 0 and judged.is_always_there and judged.usual_usages >= 12 and not judged.is_between as is_missing,
        -- Surely at least, and surely at most, so many times the usual: what chance explains is taken off first.
        if(
            judged.nights_known = 0 or judged.is_between, null,
            (judged.usages - 3 * sqrt(judged.usual_usages) - 10) / greatest(judged.usual_usages, 10)
        ) as at_least_times,
        if(
            judged.nights_known = 0 or judged.is_between, null,
            (judged.usages + 3 * sqrt(judged.usual_usages) + 10) / greatest(judged.usual_usages, 10)
        ) as at_most_times,
        each.quantity / nullif(each.usual_quantity, 0) as quantity_times,
        each.cost / nullif(each.usual_cost, 0) as cost_times,
        judged.negatives,
        {{ surely_above('judged.negatives', 'judged.usages', 'judged.usual_negative_share') }} as negatives_above_usual,
        money.currency,
        cast(coalesce(nullif(money.amount, 0), charged.owed) as decimal(38, 12)) as at_stake
    from judged
    left join money
        on
            if(judged.usages > 0, judged.judged_at, judged.last_at) = money.landed_at
            and judged.source = money.source
            and judged.meter is not distinct from money.meter
    left join charged on money.currency = charged.currency and judged.meter = charged.meter
    left join each
        on
            judged.judged_at = each.judged_at
            and judged.source = each.source
            and judged.meter = each.meter
            and money.currency = each.currency
),

final as (
    select
        *,
        coalesce(bool_or(is_missing) filter (where meter is null) over (partition by night, source), false) as is_source_missing
    from shown
)

select * from final
