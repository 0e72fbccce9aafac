-- Nothing is lost by rounding: of every line, before and tonight, what it owes exactly is what it bills and what that leaves
-- over, digit for digit; the next line of the charge begins with what was left over; and that is never more than half of the
-- least that Stripe takes. Credit leaves nothing.
{{ config(meta={'dagster': {'ref': {'name': 'rounding_ledger'}}}) }}

with ledger as (
    select
        *,
        row_number() over charge_lines as turn,
        -- Reckoned another way than the ledger does: what came to be owed since the line before, and what that one left over.
        owed - lag(owed, 1, 0) over charge_lines + lag(residue, 1, 0) over charge_lines as owed_since
    from {{ ref('rounding_ledger') }}
    window charge_lines as (partition by subscription_id, period_start, charge order by line_no)
),

lines as (
    select line_id, amount_minor, currency, grant_id, owed
    from {{ source('books', 'lines') }} as lines
    semi join {{ source('catalog', 'settings') }} as settings on lines.book = settings.book
    union all
    select line_id, amount_minor, new_lines.currency, grant_id, coalesce(charges.owed, 0) as owed
    from {{ ref('int_lines__new') }} as new_lines
    left join {{ ref('int_charges__owed') }} as charges using (subscription_id, period_start, charge)
),

compared as (
    select
        coalesce(ledger.line_id, lines.line_id) as line_id,
        ledger.subscription_id,
        ledger.period_start,
        ledger.charge,
        ledger.owed,
        ledger.exact,
        ledger.rounded,
        ledger.residue,
        case
            when ledger.line_id is null or lines.line_id is null then 'this line is billed or kept here, not both'
            when ledger.line_no is distinct from ledger.turn then 'a line of its charge is missing'
            when ledger.exact is distinct from ledger.rounded + ledger.residue then 'its parts are not the whole'
            when
                ledger.rounded is distinct from {{ from_minor('lines.amount_minor', 'currencies') }}
                then 'what it bills is another amount'
            when lines.grant_id is not null then if(ledger.residue <> 0, 'credit is not rounded', null)
            when ledger.owed is distinct from lines.owed then 'its charge owes something else'
            when ledger.exact is distinct from ledger.owed_since then 'it does not begin with what was left over'
            when
                2 * abs(ledger.residue) > {{ from_minor('coalesce(currencies.step, 1)', 'currencies') }}
                then 'more than half a step is left over'
        end as problem
    from ledger
    full join lines on ledger.line_id = lines.line_id
    left join {{ source('catalog', 'currencies') }} as currencies on lines.currency = currencies.currency
)

select *, residue as at_stake from compared where problem is not null
