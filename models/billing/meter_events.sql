-- Usage sent to Stripe hour by hour. Events of an account's meter add up to its rounded total.
select
    identifier,
    account_id,
    meter,
    {{ instant('bucket_start') }} as bucket_start,
    event_no,
    value,
    currency,
    {{ shown('exact') }} as exact,
    divide_by,
    {{ instant('created_as_of') }} as created_as_of,
    state,
    state_reason,
    customer as stripe_customer_id,
    {{ instant('sent_at') }} as sent_at
from {{ source('books', 'meter_events') }}
