-- Who buys, as the account files say tonight: the names behind the ids in every other table.
select account_id, entity_type, name, currency, timezone, stripe_customer_id
from {{ source('catalog', 'accounts') }}
