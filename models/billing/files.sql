-- Files read, and where each of their rows ended: rows = accepted + duplicate + ignored + quarantined.
with duplicates as (
    select source, raw_file, count(distinct raw_line) as duplicate
    from {{ source('books', 'duplicates') }}
    where is_whole_row
    group by all
),

quarantine as (
    select source, raw_file, count(*) as quarantined
    from {{ source('books', 'quarantine') }}
    group by all
)

select
    files.raw_file,
    files.source,
    files.rows,
    files.accepted,
    coalesce(duplicates.duplicate, 0) as duplicate,
    files.ignored,
    coalesce(quarantine.quarantined, 0) as quarantined,
    files.sha256,
    {{ instant('files.landed_at') }} as landed_at
from {{ source('landing', 'files') }} as files
left join duplicates on files.source = duplicates.source and files.raw_file = duplicates.raw_file
left join quarantine on files.source = quarantine.source and files.raw_file = quarantine.raw_file
