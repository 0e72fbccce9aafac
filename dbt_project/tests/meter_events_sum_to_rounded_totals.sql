-- Conservation from the ledger to meter events: the events of an account's meter add up to its rounded total, and what they were
-- made of is all the charged usage of the hours they stand for, to the last digit.
{{ config(meta={'dagster': {'ref': {'name': 'int_events__new'}}}) }}

with scope as (
    select * from {{ ref('int_events__scope') }}
),

meters as (
    select * from {{ source('catalog', 'meters') }} where aggregate in ('sum', 'count', 'cost')
),

slices as (
    select * from {{ ref('int_periods__slices') }}
),

entries as (
    select entries.*
    from {{ ref('int_ledger__entries') }} as entries
    inner join scope on entries.occurred_at >= scope.from_at and entries.occurred_at < scope.until_at
),

rated as (
    {{ rated('entries', 'slices') }}
),

used as (
    select
        rated.account_id,
        rated.meter,
        if(meters.aggregate = 'cost', rated.currency, null) as currency,
        sum(
            case meters.aggregate
                when 'cost' then rated.cost
                when 'count' then cast(1 as decimal(38, 15))
                else cast(rated.quantity as decimal(38, 15))
            end
        ) as exact
    from rated
    inner join meters on rated.meter = meters.meter
    where rated.aggregate is not null and rated.state <> 'expired'
    group by all
),

events as (
    select account_id, meter, currency, bucket_start, exact, value from {{ source('books', 'meter_events') }}
    union all
    select account_id, meter, currency, bucket_start, exact, value from {{ ref('int_events__new') }}
),

sums as (
    select
        events.account_id,
        events.meter,
        events.currency,
        sum(events.value) as value,
        cast(sum(events.exact) as decimal(38, 15)) as exact,
        sum(events.exact) filter (
            events.bucket_start >= scope.from_at and events.bucket_start < scope.until_at
        ) as exact_in_scope
    from events
    left join scope on true
    group by all
)

select
    coalesce(sums.account_id, used.account_id) as account_id,
    coalesce(sums.meter, used.meter) as meter,
    coalesce(sums.currency, used.currency) as currency,
    sums.value,
    sums.exact,
    sums.exact_in_scope,
    used.exact as exact_in_ledger
from sums
full join used
    on
        sums.account_id = used.account_id
        and sums.meter = used.meter
        and sums.currency is not distinct from used.currency
left join meters on coalesce(sums.meter, used.meter) = meters.meter
left join {{ source('catalog', 'currencies') }} as currencies
    on coalesce(sums.currency, used.currency) = currencies.currency
-- A meter whose hours do not add up (any more) makes no further events.
where
    meters.meter is not null
    and (
        coalesce(sums.value, 0) <> {{ whole_units('coalesce(sums.exact, 0)', 'meters', 'currencies') }}
        or coalesce(sums.exact_in_scope, 0) <> coalesce(used.exact, 0)
    )
