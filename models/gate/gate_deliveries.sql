-- What each source and meter brought tonight against what it usually brings: volume against the same weekday's, size of a
-- usage and share of negatives against the last four weeks'. The figures are those of a source and meter, and of a whole
-- source where meter is null; its money stands by currency.
with compared as (
    select * from {{ ref('gate_compared') }}
),

seen as (
    {{ usage_seen() }}
),

totals as (
    select
        landed_at,
        source,
        meter,
        sum(usages) as usages,
        sum(usages) filter (fate = 'entered') as entered,
        sum(negatives) as negatives,
        abs(sum(quantity) filter (fate = 'entered')) / sum(usages) filter (fate = 'entered' and quantity is not null) as quantity_each,
        abs(sum(cost) filter (fate = 'entered')) / sum(usages) filter (fate = 'entered' and cost is not null) as cost_each
    from seen
    where fate <> 'duplicate'
    group by grouping sets ((landed_at, source, meter), (landed_at, source))
    having meter is not null or grouping(meter) = 1
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
        count(*) filter (compared.is_same_weekday and compared.nth <= 4) as weekdays_known,
        median(coalesce(totals.usages, 0)) filter (compared.is_same_weekday and compared.nth <= 4) as weekday_usages,
        median(coalesce(totals.usages, 0)) as any_usages,
        min(coalesce(totals.usages, 0)) filter (compared.is_same_weekday and compared.nth <= 4) as weekday_least,
        median(totals.quantity_each) filter (totals.entered >= 10) as quantity_each,
        median(totals.cost_each) filter (totals.entered >= 10) as cost_each,
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
        totals.quantity_each / nullif(usual.quantity_each, 0) as quantity_times,
        totals.cost_each / nullif(usual.cost_each, 0) as cost_times,
        coalesce(totals.entered, 0) as entered,
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
    from seen
    where fate <> 'duplicate' and currency is not null
    group by grouping sets ((landed_at, source, meter, currency), (landed_at, source, currency))
    having meter is not null or grouping(meter) = 1
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
        if(judged.entered >= 10, judged.quantity_times, null) as quantity_times,
        if(judged.entered >= 10, judged.cost_times, null) as cost_times,
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
),

final as (
    select
        *,
        coalesce(bool_or(is_missing) filter (meter is null) over (partition by night, source), false) as is_source_missing
    from shown
)

select * from final
