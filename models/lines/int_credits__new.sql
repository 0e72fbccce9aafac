-- Tonight's movements of credit, each with the balance before and after: grants that have begun, uses by tonight's credit
-- lines, and what is left of grants that have expired.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

grants as (
    select * from {{ source('catalog', 'credit_grants') }}
),

posted as (
    select credits.*
    from {{ source('books', 'credits') }} as credits
    semi join settings on credits.book = settings.book
),

balances as (
    select
        grant_id,
        sum(amount_minor) as balance,
        sum(amount_minor) filter (where kind = 'grant') as granted,
        max(movement_no) as movements
    from posted
    group by grant_id
),

-- A grant that the account files have raised since is granted the difference.
granted as (
    select
        grants.grant_id,
        grants.account_id,
        'grant' as kind,
        grants.amount_minor - coalesce(balances.granted, 0) as amount_minor,
        cast(null as string) as line_id,
        cast(null as timestamp) as period_start,
        cast(null as string) as subscription_id,
        if(balances.granted is null, grants.granted_at, settings.as_of) as moved_at
    from grants
    cross join settings
    left join balances on grants.grant_id = balances.grant_id
    where grants.granted_at <= settings.as_of and (balances.granted is null or grants.amount_minor > balances.granted)
),

used as (
    select
        lines.grant_id,
        lines.account_id,
        'use' as kind,
        lines.amount_minor,
        lines.line_id,
        lines.period_start,
        lines.subscription_id,
        lines.created_as_of as moved_at
    from {{ ref('int_lines__new') }} as lines
    where lines.grant_id is not null
),

moved as (
    select * from granted
    union all
    select * from used
),

chained as (
    select
        moved.*,
        coalesce(balances.balance, 0) as opening,
        coalesce(balances.movements, 0) as movements_before,
        sum(moved.amount_minor) over (
            partition by moved.grant_id order by moved.kind, moved.period_start, moved.subscription_id
        ) as running,
        row_number() over (
            partition by moved.grant_id order by moved.kind, moved.period_start, moved.subscription_id
        ) as turn
    from moved
    left join balances on moved.grant_id = balances.grant_id
),

movements as (
    select
        grant_id,
        account_id,
        kind,
        amount_minor,
        opening + running - amount_minor as balance_before,
        opening + running as balance_after,
        line_id,
        moved_at,
        movements_before + turn as movement_no
    from chained
),

-- A grant that expires tonight is not used tonight, so what is left is what the books and its own beginning say.
expired as (
    select
        grants.grant_id,
        grants.account_id,
        'expire' as kind,
        -(coalesce(balances.balance, 0) + coalesce(begun.amount_minor, 0)) as amount_minor,
        coalesce(balances.balance, 0) + coalesce(begun.amount_minor, 0) as balance_before,
        0 as balance_after,
        cast(null as string) as line_id,
        grants.expires_at as moved_at,
        coalesce(balances.movements, 0) + if(begun.grant_id is null, 1, 2) as movement_no
    from grants
    cross join settings
    left join balances on grants.grant_id = balances.grant_id
    left join granted as begun on grants.grant_id = begun.grant_id
    where
        grants.expires_at <= settings.as_of
        and coalesce(balances.balance, 0) + coalesce(begun.amount_minor, 0) > 0
),

final as (
    select settings.book, movements.*
    from movements
    cross join settings
    union all
    select settings.book, expired.*
    from expired
    cross join settings
)

select
    book,
    grant_id,
    account_id,
    kind,
    cast(amount_minor as bigint) as amount_minor,
    cast(balance_before as bigint) as balance_before,
    cast(balance_after as bigint) as balance_after,
    line_id,
    moved_at,
    movement_no
from final
