-- Where tonight's usages ended other than in the period of a subscription - held for a reason, duplicate, expired, before
-- bill_from, free of charge, on the default plan - against the share that usually ends so. Money by currency; that of rows
-- whose payer nobody knows is in the workspace's own.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

compared as (
    select * from {{ ref('gate_compared') }}
),

seen as (
    {{ usage_seen() }}
),

totals as (
    select landed_at, source, sum(usages) as all_usages
    from seen
    group by all
),

fates as (
    select landed_at, source, fate, sum(usages) as usages
    from seen
    where fate <> 'entered'
    group by all
),

kinds as (
    select distinct source, fate from fates
),

usual as (
    select
        compared.judged_at,
        kinds.source,
        kinds.fate,
        sum(coalesce(fates.usages, 0)) / sum(totals.all_usages) as share
    from compared
    inner join totals on compared.as_of = totals.landed_at
    inner join kinds on totals.source = kinds.source
    left join fates
        on totals.landed_at = fates.landed_at and kinds.source = fates.source and kinds.fate = fates.fate
    group by all
),

charged as (
    select meters.source, charged.currency, sum(charged.owed) as owed
    from (select distinct source, meter from seen) as meters
    inner join {{ ref('gate_charged') }} as charged on meters.meter = charged.meter
    group by all
),

-- Where nobody can read what the rows are worth, what the source brought the night before says what it is about.
last_nights as (
    select compared.judged_at, totals.source, max(totals.landed_at) as landed_at
    from compared
    inner join totals on compared.as_of = totals.landed_at
    group by all
),

before as (
    select last_nights.judged_at, seen.source, seen.currency, sum(seen.amount) as amount
    from last_nights
    inner join seen on last_nights.landed_at = seen.landed_at and last_nights.source = seen.source
    group by all
),

money as (
    select
        seen.landed_at,
        seen.source,
        seen.fate,
        coalesce(seen.currency, settings.currency) as currency,
        sum(seen.amount) as amount
    from seen
    cross join settings
    where seen.fate <> 'entered'
    group by all
),

final as (
    select
        usual.judged_at as night,
        usual.source,
        usual.fate,
        fates.usages,
        totals.all_usages,
        fates.usages / totals.all_usages as share,
        usual.share as usual_share,
        {{ surely_above('fates.usages', 'totals.all_usages', 'usual.share') }} as above_usual,
        money.currency,
        cast(coalesce(nullif(money.amount, 0), charged.owed, before.amount, 0) as decimal(38, 12)) as at_stake
    from usual
    inner join fates
        on usual.judged_at = fates.landed_at and usual.source = fates.source and usual.fate = fates.fate
    inner join totals on fates.landed_at = totals.landed_at and fates.source = totals.source
    inner join money on fates.landed_at = money.landed_at and fates.source = money.source and fates.fate = money.fate
    left join charged on fates.source = charged.source and money.currency = charged.currency
    left join before
        on
            usual.judged_at = before.judged_at
            and fates.source = before.source
            and money.currency = before.currency
)

select * from final
