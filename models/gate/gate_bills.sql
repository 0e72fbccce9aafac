-- What tonight bills each account, before credit, against its last bills.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

tonight as (
    select account_id, currency, count(*) as lines, sum(at_stake) as billed
    from {{ ref('gate_lines') }}
    where not is_credit
    group by all
),

nights as (
    select
        lines.account_id,
        lines.currency,
        lines.created_as_of,
        count(*) as lines,
        sum({{ from_minor('lines.amount_minor', 'currencies') }}) as billed
    from {{ source('books', 'lines') }} as lines
    inner join settings on lines.book = settings.book and lines.created_as_of < settings.as_of
    left join {{ source('catalog', 'currencies') }} as currencies on lines.currency = currencies.currency
    where lines.charge not like 'credit:%'
    group by all
),

-- A correction of a cent is a bill too: the largest of the last three says what its bills are like.
numbered as (
    select *, row_number() over (partition by account_id, currency order by created_as_of desc) as nth
    from nights
),

before as (
    select
        account_id,
        currency,
        count(*) as bills_known,
        max(billed) filter (where nth <= 3) as last_billed,
        max(lines) as most_lines
    from numbered
    group by all
),

final as (
    select
        settings.as_of as night,
        tonight.account_id,
        tonight.lines,
        before.most_lines,
        (select max(lines) from nights) as most_lines_of_any,
        {{ shown('tonight.billed') }} as billed,
        {{ shown('before.last_billed') }} as last_billed,
        coalesce(before.bills_known, 0) as bills_known,
        tonight.currency,
        {{ shown(from_minor('1', 'currencies')) }} as minor,
        {{ shown('tonight.billed') }} as at_stake
    from tonight
    cross join settings
    left join {{ source('catalog', 'currencies') }} as currencies on tonight.currency = currencies.currency
    left join before on tonight.account_id = before.account_id and tonight.currency = before.currency
)

select * from final
