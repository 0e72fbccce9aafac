-- Tonight's share of what was ever received, counted at the door, without a look at where anything ends. A row read again was
-- counted when it was first read: it is counted as what it says today, and what it said then is taken back. Once the batch
-- is posted there is nothing new.
{{ config(materialized='view') }}

with read_rows as (
    select
        source,
        raw_file,
        if(emit_no >= 0, cast(occurred_at as date), null) as day,
        if(emit_no >= 0, meter, null) as meter,
        count(*) as usages,
        sum(quantity) as quantity,
        sum(cost) as cost
    from {{ source('landing', 'batch') }}
    group by all
),

-- Only rows of files with held rows are looked up: the others are most of the batch.
read_again as (
    select source, raw_file, raw_line
    from {{ source('landing', 'batch') }}
    where raw_file in (select raw_file from {{ source('books', 'held') }})
),

taken_back as (
    select
        held.source,
        held.raw_file,
        cast(held.occurred_at as date) as day,
        held.meter,
        -count(*) as usages,
        -sum(held.quantity) as quantity,
        -sum(held.cost) as cost
    from {{ source('books', 'held') }} as held
    semi join read_again
        on held.source = read_again.source and held.raw_file = read_again.raw_file and held.raw_line = read_again.raw_line
    group by all
),

-- Rows of new files that emit nothing have left the batch, balanced with the edge's count of rows; no day, no meter.
empty_rows as (
    select files.source, files.raw_file, files.ignored as usages
    from {{ source('landing', 'files') }} as files
    anti join {{ source('books', 'received') }} as received
        on files.source = received.source and files.raw_file = received.raw_file
    where files.source is not null
),

final as (
    select
        source,
        raw_file,
        day,
        meter,
        cast(sum(usages) as bigint) as usages,
        cast(coalesce(sum(quantity), 0) as decimal(38, 9)) as quantity,
        cast(coalesce(sum(cost), 0) as decimal(38, 15)) as cost
    from (
        select * from read_rows
        union all
        select * from taken_back
        union all
        select source, raw_file, null as day, null as meter, usages, null as quantity, null as cost
        from empty_rows
    ) as counted
    group by source, raw_file, day, meter
    having sum(usages) <> 0 or coalesce(sum(quantity), 0) <> 0 or coalesce(sum(cost), 0) <> 0
)

select * from final
