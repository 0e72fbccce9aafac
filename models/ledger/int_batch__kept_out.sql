-- What the usages say that tonight keeps out of the ledger: of rows held, and duplicates. Once the batch is posted there
-- are none.
{{ config(materialized='view') }}

with final as (
    select
        exceptions.verdict,
        batch.source,
        batch.raw_file,
        batch.raw_line,
        batch.emit_no,
        batch.meter,
        batch.key_hi,
        batch.key_lo,
        batch.occurred_at,
        batch.quantity,
        batch.cost
    from {{ ref('int_batch__exceptions') }} as exceptions
    inner join {{ source('landing', 'batch') }} as batch
        on
            exceptions.source = batch.source
            and exceptions.raw_file = batch.raw_file
            and exceptions.raw_line = batch.raw_line
            and exceptions.emit_no = batch.emit_no
)

select * from final
