-- Usage sent to Stripe hour by hour. Events of an account's meter add up to its rounded total.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

entries as (
    select outbox.*
    from {{ source('books', 'outbox') }} as outbox
    semi join settings on outbox.key_mode = settings.key_mode
    where outbox.entry = 'event'
),

final as (
    select
        events.identifier,
        events.account_id,
        events.meter,
        {{ instant('events.bucket_start') }} as bucket_start,
        events.event_no,
        events.value,
        events.currency,
        {{ shown('events.exact') }} as exact,
        events.divide_by,
        {{ instant('events.created_as_of') }} as created_as_of,
        case
            when events.value = 0 then 'nothing'
            when entries.state in ('sent', 'parked') then entries.state
            else 'pending'
        end as state,
        entries.state_reason,
        entries.customer as stripe_customer_id
    from {{ source('books', 'meter_events') }} as events
    left join entries on events.identifier = entries.name
)

select * from final
