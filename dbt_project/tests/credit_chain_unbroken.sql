-- Credit moves hand over hand: a movement begins where the last one ended, none leads below zero or above what
-- was granted, and
-- the uses are tonight's credit lines, one for one.
{{ config(meta={'dagster': {'ref': {'name': 'int_credits__new'}}}) }}

with movements as (
    select grant_id, kind, amount_minor, balance_before, balance_after, line_id, movement_no, true as is_new
    from {{ ref('int_credits__new') }}
    union all
    select
        credits.grant_id, credits.kind, credits.amount_minor, credits.balance_before, credits.balance_after, credits.line_id,
        credits.movement_no, false as is_new
    from {{ source('books', 'credits') }} as credits
    semi join {{ source('catalog', 'settings') }} as settings on credits.book = settings.book
    semi join {{ ref('int_credits__new') }} as moved on credits.grant_id = moved.grant_id
),

chained as (
    select
        *,
        lag(balance_after, 1, 0) over grants as balance_left,
        row_number() over grants as turn,
        first_value(kind) over grants as first_kind,
        sum(amount_minor) filter (where kind = 'grant') over grants as granted_minor
    from movements
    window grants as (partition by grant_id order by movement_no)
),

broken as (
    select grant_id, kind, amount_minor, balance_before, balance_after, line_id
    from chained
    where
        balance_before <> balance_left
        or balance_after <> balance_before + amount_minor
        or balance_after < 0
        or balance_after > granted_minor
        or movement_no <> turn
        or first_kind <> 'grant'
        or (kind = 'grant' and amount_minor < 0)
        or (kind <> 'grant' and amount_minor >= 0)
),

unmatched as (
    select grant_id, kind, credits.amount_minor, balance_before, balance_after, line_id
    from (select * from {{ ref('int_credits__new') }} where kind = 'use') as credits
    full join (select line_id, grant_id, amount_minor from {{ ref('int_lines__new') }} where grant_id is not null) as lines
        using (line_id, grant_id)
    where credits.amount_minor is distinct from lines.amount_minor
)

select * from broken
union all
select * from unmatched
