-- What each account used of each meter in each hour, exactly, as the ledger stands tonight: all that a plan charges and that is
-- not expired. Only meters whose hours add up are here; a cost is kept apart by its currency.
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
    select *
    from {{ ref('int_ledger__entries') }}
    where
        -- Without a scope nothing is read at all.
        occurred_at >= (select coalesce(max(from_at), {{ forever() }}) from scope)
        and occurred_at < (select until_at from scope)
        and meter in (select meter from meters)
),

rated as (
    {{ rated('entries', 'slices') }}
),

final as (
    select
        rated.account_id,
        rated.meter,
        if(meters.aggregate = 'cost', rated.currency, null) as currency,
        cast(date_trunc('hour', rated.occurred_at) as timestamp) as bucket_start,
        count(*) as usages,
        cast(
            case any_value(meters.aggregate)
                when 'cost' then sum(rated.cost)
                when 'count' then count(*)
                else sum(rated.quantity)
            end as decimal(38, 15)
        ) as exact
    from rated
    inner join meters on rated.meter = meters.meter
    where rated.aggregate is not null and rated.state <> 'expired'
    group by all
)

select * from final
