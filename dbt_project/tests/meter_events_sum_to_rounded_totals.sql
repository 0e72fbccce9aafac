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

events as (
    select account_id, meter, currency, bucket_start, exact, value from {{ source('books', 'meter_events') }}
    union all
    select account_id, meter, currency, bucket_start, exact, value from {{ ref('int_events__new') }}
),

-- A meter whose hours do not add up (any more) makes no further events.
held_against as (
    select
        events.account_id,
        events.meter,
        events.currency,
        events.value,
        events.exact,
        events.exact as exact_in_scope
    from events
    semi join scope on events.bucket_start >= scope.from_at and events.bucket_start < scope.until_at
    union all by name
    select
        events.account_id,
        events.meter,
        events.currency,
        events.value,
        events.exact
    from events
    anti join scope on events.bucket_start >= scope.from_at and events.bucket_start < scope.until_at
    union all by name
    select
        rated.account_id,
        rated.meter,
        if(meters.aggregate = 'cost', rated.currency, null) as currency,
        case meters.aggregate
            when 'cost' then rated.cost
            when 'count' then cast(1 as decimal(38, 15))
            else cast(rated.quantity as decimal(38, 15))
        end as exact_in_ledger
    from rated
    inner join meters on rated.meter = meters.meter
    where rated.aggregate is not null and rated.state <> 'expired'
),

sums as (
    select
        account_id,
        meter,
        currency,
        coalesce(sum(value), 0) as value,
        cast(coalesce(sum(exact), 0) as decimal(38, 15)) as exact,
        coalesce(sum(exact_in_scope), 0) as exact_in_scope,
        coalesce(sum(exact_in_ledger), 0) as exact_in_ledger
    from held_against
    group by account_id, meter, currency
)

select sums.*
from sums
inner join meters on sums.meter = meters.meter
left join {{ source('catalog', 'currencies') }} as currencies on sums.currency = currencies.currency
where
    sums.value <> {{ whole_units('sums.exact', 'meters', 'currencies') }}
    or sums.exact_in_scope <> sums.exact_in_ledger
