-- What happened to customers and their bills, for whoever reacts to it. Nothing is noted when it happens: the books say
-- it, and the same entry has the same event_id whenever they are asked.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

lines as (
    select lines.*
    from {{ source('books', 'lines') }} as lines
    semi join settings on lines.book = settings.book
),

closes as (
    select closes.*
    from {{ source('books', 'closes') }} as closes
    semi join settings on closes.book = settings.book
),

-- Where a line stands is said in one place.
sent as (
    select lines.*
    from lines
    semi join {{ ref('invoice_items') }} as items on lines.line_id = items.line_id and items.state = 'sent'
),

-- A night that is judged again is no longer stopped in the gate's own table. Its first stop is the event.
stops as (
    select as_of, lines, money from {{ source('books', 'gate_stops') }}
    union all
    select nights.as_of, nights.lines, nights.money
    from {{ source('gate', 'nights') }} as nights
    anti join {{ source('books', 'gate_stops') }} as before on nights.as_of = before.as_of
    where nights.verdict = 'stops'
),

happened as (
    select
        'period_closed' as event,
        concat_ws(chr(31), book, subscription_id, {{ instant_text('period_start', 'microsecond') }}) as subject,
        closed_at as happened_at,
        account_id,
        subscription_id,
        period_start,
        cast(null as string) as line_id,
        billed_minor as amount_minor,
        currency,
        null as detail
    from closes
    union all
    select
        'threshold_reached' as event,
        line_id as subject,
        created_as_of as happened_at,
        account_id,
        subscription_id,
        period_start,
        line_id,
        amount_minor,
        currency,
        null as detail
    from lines
    where reason = 'threshold' and grant_id is null
    union all
    select
        'line_sent' as event,
        line_id as subject,
        created_as_of as happened_at,
        account_id,
        subscription_id,
        period_start,
        line_id,
        amount_minor,
        currency,
        null as detail
    from sent
    union all
    select
        'gate_stopped' as event,
        {{ instant_text('as_of', 'microsecond') }} as subject,
        as_of as happened_at,
        null as account_id,
        null as subscription_id,
        null as period_start,
        null as line_id,
        null as amount_minor,
        null as currency,
        {{ json_of({'lines': 'lines', 'money': 'money'}) }} as detail
    from stops
),

final as (
    select
        {{ uuid5("happened.event || chr(31) || happened.subject") }} as event_id,
        event,
        {{ instant('happened_at') }} as happened_at,
        account_id,
        subscription_id,
        {{ instant('period_start') }} as period_start,
        line_id,
        amount_minor,
        currency,
        detail
    from happened
)

select * from final
