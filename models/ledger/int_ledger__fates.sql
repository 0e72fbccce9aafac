-- What the usages of every night came to, by the day they occurred on: billed, free, expired or pre_cutover. A night is counted
-- again only if the books hold another number of its usages than was counted, or if a stretch of time that some of them fall in
-- says something else than before.
with slices as (
    select * from {{ ref('int_periods__slices') }}
),

now_said as (
    select subscription_id, from_at, until_at, said from {{ ref('int_periods__stretches') }}
),

before_said as (
    select subscription_id, from_at, until_at, said from {{ source('books', 'stretches') }}
),

changed as (
    select subscription_id, from_at, until_at
    from (
        select * from now_said
        except
        select * from before_said
    ) as begun
    union
    select subscription_id, from_at, until_at
    from (
        select * from before_said
        except
        select * from now_said
    ) as gone
),

entered as (
    select entered_at, count(*) as usages from {{ source('books', 'ledger') }} group by entered_at
),

counted as (
    select entered_at, sum(usages) as usages from {{ source('books', 'fates') }} group by entered_at
),

miscounted as (
    select entered.entered_at
    from entered
    left join counted on entered.entered_at = counted.entered_at
    where entered.usages is distinct from counted.usages
),

again as (
    select entered_at from miscounted
    union
    select well_counted.entered_at
    from (
        select ledger.*
        from {{ source('books', 'ledger') }} as ledger
        anti join miscounted on ledger.entered_at = miscounted.entered_at
    ) as well_counted
    inner join changed
        on
            well_counted.subscription_id = changed.subscription_id
            and well_counted.occurred_at >= changed.from_at
            and well_counted.occurred_at < changed.until_at
),

new_entries as (
    {{ entering_tonight() }}
),

old_entries as (
    select ledger.*
    from {{ source('books', 'ledger') }} as ledger
    semi join again on ledger.entered_at = again.entered_at
),

rated_new as (
    {{ rated('new_entries', 'slices') }}
),

rated_old as (
    {{ rated('old_entries', 'slices') }}
),

fates as (
    select
        entered_at,
        cast(occurred_at as date) as day,
        meter,
        case when state <> 'billable' then state when aggregate is null then 'free' else 'billed' end as fate,
        1 as usages,
        quantity,
        cost
    from (
        select entered_at, occurred_at, meter, state, aggregate, quantity, cost from rated_new
        union all
        select entered_at, occurred_at, meter, state, aggregate, quantity, cost from rated_old
    ) as rated
    union all
    select kept.entered_at, kept.day, kept.meter, kept.fate, kept.usages, kept.quantity, kept.cost
    from {{ source('books', 'fates') }} as kept
    semi join entered on kept.entered_at = entered.entered_at
    anti join again on kept.entered_at = again.entered_at
),

final as (
    select
        entered_at,
        day,
        meter,
        fate,
        cast(sum(usages) as bigint) as usages,
        cast(sum(quantity) as decimal(38, 9)) as quantity,
        cast(sum(cost) as decimal(38, 15)) as cost
    from fates
    group by entered_at, day, meter, fate
)

select * from final
