-- Tonight's share of what was ever received, counted at the door: from the batch and the edge's count of rows, without a
-- look at where anything ended. A row read again was counted when it was first read: it is counted as what it says today,
-- and what it said then is taken back. Once the batch is posted there is nothing new.
{{ config(materialized='view') }}

with batch as (
    select * from {{ source('landing', 'batch') }}
),

new_files as (
    select files.source, files.raw_file, files.rows
    from {{ source('landing', 'files') }} as files
    anti join {{ source('books', 'received') }} as received
        on files.source = received.source and files.raw_file = received.raw_file
    where files.source is not null
),

read_rows as (
    select
        source,
        raw_file,
        if(emit_no >= 0, cast(occurred_at as date), null) as day,
        if(emit_no >= 0, meter, null) as meter,
        count(*) as usages,
        sum(quantity) as quantity,
        sum(cost) as cost
    from batch
    group by all
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
    semi join batch on held.source = batch.source and held.raw_file = batch.raw_file and held.raw_line = batch.raw_line
    group by all
),

-- Rows of new files that emit nothing: what the edge counted less what the batch holds. They have no day and no meter.
empty_rows as (
    select
        new_files.source,
        new_files.raw_file,
        new_files.rows - coalesce(emitting.rows, 0) as usages
    from new_files
    left join (select source, raw_file, count(distinct raw_line) as rows from batch group by all) as emitting
        on new_files.source = emitting.source and new_files.raw_file = emitting.raw_file
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
        union all by name
        select * from empty_rows
    ) as counted
    group by source, raw_file, day, meter
    having sum(usages) <> 0 or coalesce(sum(quantity), 0) <> 0 or coalesce(sum(cost), 0) <> 0
)

select * from final
