-- Lines: what was billed, when and why. Lines of a charge add up to its rounded total.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

entries as (
    select outbox.*
    from {{ source('books', 'outbox') }} as outbox
    semi join settings on outbox.key_mode = settings.key_mode
),

-- Each line by the item it goes out in, and by that item's own invoice where it has one. An item on a draft has been
-- sent once the draft is finalised.
sent as (
    select
        outbox_lines.line_id,
        items.stripe_id,
        case
            when 'parked' in (items.state, coalesce(drafts.state, ''), coalesce(finals.state, '')) then 'parked'
            when items.state = 'sent' and (items.batch is null or coalesce(finals.state, '') = 'sent') then 'sent'
            else 'pending'
        end as state,
        coalesce(items.state_reason, drafts.state_reason, finals.state_reason) as state_reason
    from {{ source('books', 'outbox_lines') }} as outbox_lines
    semi join settings on outbox_lines.key_mode = settings.key_mode
    inner join entries as items on items.entry = 'item' and outbox_lines.name = items.name
    left join entries as drafts on drafts.entry = 'invoice' and items.batch = drafts.name
    left join entries as finals on finals.entry = 'finalise' and items.batch = finals.name
),

final as (
    select
        lines.line_id,
        lines.account_id,
        lines.subscription_id,
        {{ instant('lines.period_start') }} as period_start,
        {{ instant('lines.period_end') }} as period_end,
        lines.charge,
        lines.reason,
        lines.amount_minor,
        lines.currency,
        {{ shown('lines.quantity') }} as quantity,
        lines.description,
        {{ instant('lines.created_as_of') }} as created_as_of,
        coalesce(sent.state, lines.state) as state,
        coalesce(sent.state_reason, lines.state_reason) as state_reason,
        sent.stripe_id
    from {{ source('books', 'lines') }} as lines
    semi join settings on lines.book = settings.book
    left join sent on lines.line_id = sent.line_id
)

select * from final
