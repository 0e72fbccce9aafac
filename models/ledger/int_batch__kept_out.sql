-- What the usages say that tonight keeps out of the ledger: of rows held, and duplicates. Once the batch is posted there
-- are none.
{{ config(materialized='view') }}

with final as (
    select
        exceptions.verdict,
        placed.source,
        placed.raw_file,
        placed.raw_line,
        placed.emit_no,
        placed.meter,
        placed.key_hi,
        placed.key_lo,
        placed.occurred_at,
        placed.quantity,
        placed.cost
    from {{ ref('int_batch__exceptions') }} as exceptions
    inner join {{ ref('int_batch__placed') }} as placed
        on
            exceptions.source = placed.source
            and exceptions.raw_file = placed.raw_file
            and exceptions.raw_line = placed.raw_line
            and exceptions.emit_no = placed.emit_no
    where exists (select 1 from {{ source('landing', 'batch') }})
)

select * from final
