-- Where all that was ever received has ended: a tally kept at the door against the tables as they really stand. Before a
-- night is posted both sides have tonight's batch in them, afterwards the batch is empty: the law holds at any time.
with received as (
    select day, meter, usages, quantity, cost from {{ source('books', 'received') }}
    union all
    select day, meter, usages, quantity, cost from {{ ref('int_received__new') }}
),

-- Every row of the ledger, as it stands. How many of them are not billed was counted when they entered it.
entered as (
    select
        cast(occurred_at as date) as day,
        meter,
        'billed' as fate,
        count(*) as usages,
        sum(quantity) as quantity,
        sum(cost) as cost
    from {{ ref('int_ledger__entries') }}
    group by cast(occurred_at as date), meter
),

not_billed as (
    select day, meter, fate, usages, quantity, cost from {{ ref('int_ledger__fates') }} where fate <> 'billed'
    union all
    select day, meter, 'billed' as fate, -usages as usages, -quantity as quantity, -cost as cost
    from {{ ref('int_ledger__fates') }}
    where fate <> 'billed'
),

-- A row read again tonight is no longer held as it was. Only those of files with held rows are looked up.
read_again as (
    select source, raw_file, raw_line
    from {{ source('landing', 'batch') }}
    where raw_file in (select raw_file from {{ source('books', 'held') }})
),

still_held as (
    select held.*
    from {{ source('books', 'held') }} as held
    semi join {{ source('books', 'quarantine') }} as quarantine
        on held.source = quarantine.source and held.raw_file = quarantine.raw_file and held.raw_line = quarantine.raw_line
    anti join read_again
        on held.source = read_again.source and held.raw_file = read_again.raw_file and held.raw_line = read_again.raw_line
),

kept_out as (
    select cast(occurred_at as date) as day, meter, fate, count(*) as usages, sum(quantity) as quantity, sum(cost) as cost
    from (
        select occurred_at, meter, 'held' as fate, quantity, cost from still_held
        union all
        select occurred_at, meter, 'duplicate' as fate, quantity, cost from {{ source('books', 'duplicates') }}
        union all
        select occurred_at, meter, verdict as fate, quantity, cost from {{ ref('int_batch__kept_out') }}
    ) as usages
    group by all
),

ignored as (
    select sum(ignored) as usages from {{ source('landing', 'files') }}
    union all
    select count(*) as usages from {{ source('landing', 'batch') }} where emit_no < 0
),

fates as (
    select
        day,
        meter,
        fate,
        sum(usages) as usages,
        coalesce(sum(quantity), 0) as quantity,
        coalesce(sum(cost), 0) as cost
    from (
        select day, meter, 'received' as fate, usages, quantity, cost from received
        union all
        select day, meter, fate, usages, quantity, cost from entered
        union all
        select day, meter, fate, usages, quantity, cost from not_billed
        union all
        select day, meter, fate, usages, quantity, cost from kept_out
        union all
        select null as day, null as meter, 'ignored' as fate, usages, null as quantity, null as cost from ignored
    ) as counted
    group by day, meter, fate
    having sum(usages) <> 0 or coalesce(sum(quantity), 0) <> 0 or coalesce(sum(cost), 0) <> 0
),

measures as (
    select
        day,
        meter,
        fate,
        usages,
        quantity,
        cost,
        {{ each_of(["'usages'", "'quantity'", "'cost'"]) }} as measure
    from fates
),

measured as (
    select
        day,
        meter,
        fate,
        measure,
        case measure
            when 'usages' then cast(usages as decimal(38, 15))
            when 'quantity' then cast(quantity as decimal(38, 15))
            else cast(cost as decimal(38, 15))
        end as amount
    from measures
),

summed as (
    select
        day,
        meter,
        measure,
        coalesce(sum(amount) filter (where fate = 'received'), 0) as received,
        coalesce(sum(amount) filter (where fate = 'billed'), 0) as billed,
        coalesce(sum(amount) filter (where fate = 'free'), 0) as free,
        coalesce(sum(amount) filter (where fate = 'held'), 0) as held,
        coalesce(sum(amount) filter (where fate = 'duplicate'), 0) as duplicate,
        coalesce(sum(amount) filter (where fate = 'ignored'), 0) as ignored,
        coalesce(sum(amount) filter (where fate = 'pre_cutover'), 0) as pre_cutover,
        coalesce(sum(amount) filter (where fate = 'expired'), 0) as expired
    from measured
    group by day, meter, measure
),

final as (
    select
        day,
        meter,
        measure,
        cast(received as decimal(38, 15)) as received,
        cast(billed as decimal(38, 15)) as billed,
        cast(free as decimal(38, 15)) as free,
        cast(held as decimal(38, 15)) as held,
        cast(duplicate as decimal(38, 15)) as duplicate,
        cast(ignored as decimal(38, 15)) as ignored,
        cast(pre_cutover as decimal(38, 15)) as pre_cutover,
        cast(expired as decimal(38, 15)) as expired,
        cast(
            received - billed - free - held - duplicate - ignored - pre_cutover - expired as decimal(38, 15)
        ) as difference
    from summed
)

select * from final
