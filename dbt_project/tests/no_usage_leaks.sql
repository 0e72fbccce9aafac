-- Conservation from the door to the fate of every usage: what was received, counted as it came in, is what was billed, is
-- free, held, duplicate, ignored, pre_cutover or expired: per day and meter, in usages, quantity and money, with nothing over.
{{ config(meta={'dagster': {'ref': {'name': 'leak_ledger'}}}) }}

select *, difference as at_stake
from {{ ref('leak_ledger') }}
where difference is distinct from 0
