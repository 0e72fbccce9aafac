-- What rounding did to every line: what it owed exactly, what it billed, and what that left over. Before a night is posted
-- its lines are here too, afterwards they are in the books.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

lines as (
    select
        books.line_id, books.line_no, books.account_id, books.subscription_id, books.period_start, books.charge, books.reason,
        books.amount_minor, books.currency, books.owed, books.grant_id, books.created_as_of
    from {{ source('books', 'lines') }} as books
    semi join settings on books.book = settings.book
    union all
    select
        new_lines.line_id, new_lines.line_no, new_lines.account_id, new_lines.subscription_id, new_lines.period_start,
        new_lines.charge, new_lines.reason, new_lines.amount_minor, new_lines.currency, new_lines.owed, new_lines.grant_id,
        new_lines.created_as_of
    from {{ ref('int_lines__new') }} as new_lines
    anti join {{ source('books', 'lines') }} as books on new_lines.line_id = books.line_id
),

amounts as (
    select
        lines.*,
        lines.grant_id is not null as is_credit,
        {{ from_minor('lines.amount_minor', 'currencies') }} as rounded,
        {{ from_minor('coalesce(sum(lines.amount_minor) over earlier, 0)', 'currencies') }} as billed_before
    from lines
    -- A line of old may be in a currency that no account has today.
    left join {{ source('catalog', 'currencies') }} as currencies on lines.currency = currencies.currency
    window earlier as (
        partition by lines.subscription_id, lines.period_start, lines.charge
        order by lines.line_no
        rows between unbounded preceding and 1 preceding
    )
),

final as (
    select
        line_id,
        line_no,
        account_id,
        subscription_id,
        {{ instant('period_start') }} as period_start,
        charge,
        reason,
        currency,
        owed,
        if(is_credit, null, billed_before) as billed_before,
        if(is_credit, rounded, cast(owed - billed_before as decimal(38, 18))) as exact,
        rounded,
        if(is_credit, 0, cast(owed - billed_before - rounded as decimal(38, 18))) as residue,
        {{ instant('created_as_of') }} as created_as_of
    from amounts
)

select * from final
