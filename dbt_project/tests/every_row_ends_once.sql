-- Conservation from raw rows to the ledger: the usages of tonight's batch are those accepted, duplicate or held, each once;
-- a held row is held whole; and the rows of a file are those that ended somewhere, tonight or before. A file's usages are
-- compared by their number and the sum of their hashes, which are the same for the same set, and for another only by a
-- chance of one in 2^64.
{{ config(meta={'dagster': {'ref': {'name': 'int_batch__exceptions'}}}) }}

with exceptions as (
    select * from {{ ref('int_batch__exceptions') }}
),

came as (
    select source, raw_file, count(*) as usages, sum(hash(raw_line, emit_no)) as digest
    from {{ source('landing', 'batch') }}
    where emit_no >= 0
    group by all
),

went as (
    select source, raw_file, count(*) as usages, sum(hash(raw_line, emit_no)) as digest
    from (
        select source, raw_file, raw_line, emit_no from exceptions
        union all
        select source, raw_file, raw_line, emit_no from {{ ref('int_ledger__new') }}
    ) as usages
    group by all
),

lost_or_added as (
    select source, raw_file, cast(null as bigint) as raw_line, 'its usages are not those that ended' as problem
    from came
    full join went using (source, raw_file)
    where came.usages is distinct from went.usages or came.digest is distinct from went.digest
),

judged_twice as (
    select source, raw_file, raw_line, 'a usage of this row ended twice' as problem
    from exceptions
    group by source, raw_file, raw_line, emit_no
    having count(*) > 1
),

held_in_part as (
    select source, raw_file, raw_line, 'only part of this row is held' as problem
    from {{ source('landing', 'batch') }} as batch
    semi join (select source, raw_file, raw_line from exceptions where verdict = 'held') as held
        using (source, raw_file, raw_line)
    left join exceptions using (source, raw_file, raw_line, emit_no)
    where exceptions.verdict is distinct from 'held'
),

tonight as (
    select source, raw_file, count(*) as ended
    from (select distinct source, raw_file, raw_line from {{ source('landing', 'batch') }}) as raw_rows
    group by all
),

ended as (
    select * from tonight
    union all
    select source, raw_file, accepted + ignored as ended from {{ source('landing', 'files') }}
    union all
    select source, raw_file, count(distinct raw_line) as ended
    from {{ source('books', 'duplicates') }}
    where is_whole_row and raw_file in (select raw_file from tonight)
    group by all
    union all
    select source, raw_file, count(*) as ended
    from {{ source('books', 'quarantine') }}
    anti join {{ source('landing', 'batch') }} as batch using (source, raw_file, raw_line)
    where raw_file in (select raw_file from tonight)
    group by all
),

files_that_do_not_add_up as (
    select
        source,
        raw_file,
        cast(null as bigint) as raw_line,
        any_value(files.rows) || ' rows were read, ' || sum(ended.ended) || ' ended' as problem
    from {{ source('landing', 'files') }} as files
    semi join tonight using (source, raw_file)
    inner join ended using (source, raw_file)
    group by source, raw_file
    having any_value(files.rows) <> sum(ended.ended)
)

select * from lost_or_added
union all
select * from judged_twice
union all
select * from held_in_part
union all
select * from files_that_do_not_add_up
