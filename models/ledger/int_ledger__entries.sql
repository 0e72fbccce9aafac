-- The ledger as it will stand once tonight is posted.
{{ config(materialized='view') }}

select
    key_hi, key_lo, source, meter, account_id, subscription_id, is_account_named, actor, occurred_at, landed_at, entered_at,
    quantity, cost, context, raw_file, raw_line
from {{ source('books', 'ledger') }}
union all
select
    entries.key_hi, entries.key_lo, entries.source, entries.meter, entries.account_id, entries.subscription_id,
    entries.is_account_named, entries.actor, entries.occurred_at, entries.landed_at, settings.as_of as entered_at,
    entries.quantity, entries.cost, entries.context, entries.raw_file, entries.raw_line
from {{ ref('int_ledger__new') }} as entries
cross join {{ source('catalog', 'settings') }} as settings
