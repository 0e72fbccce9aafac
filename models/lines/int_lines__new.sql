-- The one law: a line is what its charge owes now, rounded, less what was billed for it before. Threshold, close and
-- adjustment differ only in when the difference may be billed.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

billed as (
    select
        lines.subscription_id,
        lines.period_start,
        lines.charge,
        any_value(lines.account_id) as account_id,
        max(lines.period_end) as period_end,
        any_value(lines.currency) as currency,
        sum(lines.amount_minor) as billed_minor,
        count(*) as lines
    from {{ source('books', 'lines') }} as lines
    semi join settings on lines.book = settings.book
    group by all
),

differences as (
    select
        charges.subscription_id,
        charges.account_id,
        charges.period_start,
        figures.period_end,
        charges.charge,
        charges.currency,
        charges.quantity,
        charges.owed,
        charges.owed_minor - coalesce(billed.billed_minor, 0) as amount_minor,
        coalesce(billed.lines, 0) + 1 as line_no,
        case
            when figures.is_closed then 'adjustment'
            when figures.is_closing then 'close'
            when
                charges.charge = 'overage'
                and charges.period_start <= settings.as_of
                and charges.owed - {{ from_minor('coalesce(billed.billed_minor, 0)', 'currencies') }}
                >= cast(figures.threshold as decimal(38, 18))
                then 'threshold'
        end as reason
    from {{ ref('int_charges__owed') }} as charges
    cross join settings
    inner join {{ ref('int_periods__figures') }} as figures
        on charges.subscription_id = figures.subscription_id and charges.period_start = figures.period_start
    left join {{ source('catalog', 'currencies') }} as currencies on charges.currency = currencies.currency
    left join billed
        on
            charges.subscription_id = billed.subscription_id
            and charges.period_start = billed.period_start
            and charges.charge = billed.charge
),

-- A period billed by its threshold may be gone from the account files before it closes; what was billed for it is
-- owed by nobody.
vanished as (
    select
        billed.subscription_id,
        billed.account_id,
        billed.period_start,
        billed.period_end,
        billed.charge,
        billed.currency,
        cast(null as decimal(38, 18)) as quantity,
        cast(0 as decimal(38, 18)) as owed,
        -billed.billed_minor as amount_minor,
        billed.lines + 1 as line_no,
        'adjustment' as reason
    from billed
    anti join {{ ref('int_periods__slices') }} as slices
        on billed.subscription_id = slices.subscription_id and billed.period_start = slices.period_start
    where billed.charge not like 'credit:%'
),

charged as (
    select
        subscription_id, account_id, period_start, period_end, charge, currency, quantity, owed, amount_minor, line_no, reason
    from differences
    where reason is not null and amount_minor <> 0
    union all
    select
        subscription_id, account_id, period_start, period_end, charge, currency, quantity, owed, amount_minor, line_no, reason
    from vanished
    where amount_minor <> 0
),

-- Credit: the positive net of a period's new lines, period after period, laid along the balances of the grants, grant after
-- grant; where the two overlap, that much of the grant is used.
needs as (
    select
        *,
        coalesce(
            sum(need_minor) over (
                partition by account_id, currency order by period_start, subscription_id
                rows between unbounded preceding and 1 preceding
            ), 0
        ) as need_from
    from (
        select
            account_id,
            subscription_id,
            period_start,
            any_value(period_end) as period_end,
            any_value(currency) as currency,
            any_value(reason) as reason,
            sum(amount_minor) as need_minor
        from charged
        group by account_id, subscription_id, period_start
        having sum(amount_minor) > 0
    ) as periods
),

moved as (
    select
        credits.grant_id,
        sum(credits.amount_minor) as balance_minor,
        sum(credits.amount_minor) filter (where credits.kind = 'grant') as granted_minor
    from {{ source('books', 'credits') }} as credits
    semi join settings on credits.book = settings.book
    group by all
),

balances as (
    select
        *,
        coalesce(
            sum(balance_minor) over (
                partition by account_id, currency
                order by priority asc, expires_at asc nulls last, granted_at asc, grant_id asc
                rows between unbounded preceding and 1 preceding
            ), 0
        ) as balance_from
    from (
        -- What the account files add to a grant counts, and so does what they take from it; what has lapsed is gone.
        select
            grants.*,
            coalesce(moved.balance_minor, 0) + grants.amount_minor - coalesce(moved.granted_minor, 0) as balance_minor
        from {{ source('catalog', 'credit_grants') }} as grants
        cross join settings
        left join moved on grants.grant_id = moved.grant_id
        where grants.granted_at <= settings.as_of and settings.as_of < coalesce(grants.expires_at, {{ forever() }})
    ) as begun
    where balance_minor > 0
),

credited as (
    select
        needs.subscription_id,
        needs.account_id,
        needs.period_start,
        needs.period_end,
        'credit:' || balances.grant_id as charge,
        needs.currency,
        cast(null as decimal(38, 18)) as quantity,
        cast(null as decimal(38, 18)) as owed,
        -(
            least(needs.need_from + needs.need_minor, balances.balance_from + balances.balance_minor)
            - greatest(needs.need_from, balances.balance_from)
        ) as amount_minor,
        coalesce(billed.lines, 0) + 1 as line_no,
        needs.reason,
        balances.grant_id
    from needs
    inner join balances
        on
            needs.account_id = balances.account_id
            and needs.currency = balances.currency
            and needs.need_from < balances.balance_from + balances.balance_minor
            and needs.need_from + needs.need_minor > balances.balance_from
    left join billed
        on
            needs.subscription_id = billed.subscription_id
            and needs.period_start = billed.period_start
            and billed.charge = 'credit:' || balances.grant_id
),

lines as (
    select
        subscription_id, account_id, period_start, period_end, charge, currency, quantity, owed, amount_minor, line_no, reason,
        null as grant_id
    from charged
    union all
    select
        subscription_id, account_id, period_start, period_end, charge, currency, quantity, owed, amount_minor, line_no, reason,
        grant_id
    from credited
),

final as (
    select
        settings.book,
        -- Counted, not timed: the n-th line of a charge is the same line whenever the run that makes it is tried again.
        'line_' || left(
            {{ sha256(
                'concat_ws(chr(31), settings.book, lines.subscription_id, cast(' ~ epoch_us('lines.period_start') ~ ' as string), '
                ~ 'lines.charge, cast(lines.line_no as string))'
            ) }},
            32
        ) as line_id,
        lines.line_no,
        lines.account_id,
        lines.subscription_id,
        lines.period_start,
        lines.period_end,
        lines.charge,
        lines.reason,
        cast(lines.amount_minor as bigint) as amount_minor,
        lines.currency,
        lines.quantity,
        lines.owed,
        case lines.reason when 'adjustment' then 'Correction: ' else '' end
        || case
            when lines.charge = 'overage' then 'usage above what the plan includes'
            when lines.charge = 'minimum' then 'up to the minimum of the plan'
            when lines.charge like 'credit:%' then 'credit ' || substr(lines.charge, 8)
            else substr(lines.charge, 9)
        end
        || case when lines.reason = 'threshold' then ' so far' else '' end
        || ', ' || cast(cast(lines.period_start as date) as string)
        || ' to ' || cast(cast(lines.period_end as date) as string) as description,
        lines.grant_id,
        settings.as_of as created_as_of
    from lines
    cross join settings
)

select * from final
