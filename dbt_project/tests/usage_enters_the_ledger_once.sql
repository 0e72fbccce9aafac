-- No usage that is in the ledger enters it again, and none enters it twice in one night.
{{ config(meta={'dagster': {'ref': {'name': 'int_ledger__new'}}}) }}

with entering as (
    select key_hi, key_lo from {{ ref('int_ledger__new') }}
),

-- Looked up by one half of the key, which reads half as much of the ledger; whole keys are counted below.
entered as (
    select ledger.key_hi, ledger.key_lo
    from {{ source('books', 'ledger') }} as ledger
    semi join entering on ledger.key_hi = entering.key_hi
)

select {{ event_key('key_hi', 'key_lo') }} as event_key, count(*) as times
from (
    select * from entering
    union all
    select * from entered
) as usages
group by key_hi, key_lo
having count(*) > 1
