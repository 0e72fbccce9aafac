-- Periods that are not closed in this book and have begun: those of subscriptions, and for the default plan the calendar
-- months in which usage or a baseline falls.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

accounts as (
    select * from {{ source('catalog', 'accounts') }}
),

subscribed as (
    select subscription_id, account_id, period_start, period_end from {{ source('catalog', 'periods') }}
),

closed as (
    select closes.*
    from {{ source('books', 'closes') }} as closes
    semi join settings on closes.book = settings.book
),

-- A baseline of the default plan names the start of a month. Of one on an instant where a subscription's period begins too,
-- the subscription's period takes it.
default_baselines as (
    select baselines.account_id, baselines.period_start as seen_at
    from {{ source('catalog', 'baselines') }} as baselines
    anti join subscribed on baselines.account_id = subscribed.account_id and baselines.period_start = subscribed.period_start
    anti join closed on baselines.account_id = closed.account_id and baselines.period_start = closed.period_start
    inner join accounts on baselines.account_id = accounts.account_id
    semi join {{ source('catalog', 'zone_months') }} as zone_months
        on accounts.timezone = zone_months.timezone and baselines.period_start = zone_months.month_start
),

seen as (
    select account_id, seen_at from {{ source('books', 'default_periods') }}
    union
    select account_id, {{ each_of(['min(occurred_at)', 'max(occurred_at)']) }} as seen_at
    from {{ ref('int_ledger__new') }}
    where subscription_id like 'default:%'
    group by account_id, date_trunc('day', occurred_at)
    union
    select account_id, seen_at from default_baselines
),

-- A closed month is fixed, also when the account's zone has moved since: of the month in which usage falls, an open one
-- keeps what the closed ones before and after that usage leave of it.
months as (
    select
        'default:' || seen.account_id as subscription_id,
        seen.account_id,
        greatest(
            zone_months.month_start,
            coalesce(max(closed.period_end) filter (where closed.period_end <= seen.seen_at), zone_months.month_start)
        ) as period_start,
        least(
            zone_months.month_end,
            coalesce(min(closed.period_start) filter (where closed.period_start > seen.seen_at), zone_months.month_end)
        ) as period_end
    from seen
    inner join accounts on seen.account_id = accounts.account_id
    inner join {{ source('catalog', 'zone_months') }} as zone_months
        on
            accounts.timezone = zone_months.timezone
            and seen.seen_at >= zone_months.month_start
            and seen.seen_at < zone_months.month_end
    left join closed
        on
            'default:' || seen.account_id = closed.subscription_id
            and closed.period_start < zone_months.month_end
            and closed.period_end > zone_months.month_start
    group by seen.account_id, seen.seen_at, zone_months.month_start, zone_months.month_end
    having not coalesce(bool_or(seen.seen_at >= closed.period_start and seen.seen_at < closed.period_end), false)
),

-- A baseline on an instant that months of the default plan begin with as well is theirs only where it is named so above.
amounts as (
    select
        baselines.account_id,
        baselines.period_start,
        baselines.amount,
        default_baselines.account_id is not null as is_of_default
    from {{ source('catalog', 'baselines') }} as baselines
    left join default_baselines
        on baselines.account_id = default_baselines.account_id and baselines.period_start = default_baselines.seen_at
),

periods as (
    select * from subscribed
    union all
    select distinct * from months
),

final as (
    select
        periods.subscription_id,
        periods.account_id,
        accounts.currency,
        periods.period_start,
        periods.period_end,
        {{ epoch_us('periods.period_end') }} - {{ epoch_us('periods.period_start') }} as period_us,
        periods.period_end + {{ microseconds('settings.close_grace_us') }} <= settings.as_of as is_closing,
        if(
            {{ is_before_book('settings.book', 'periods.period_end', 'settings.bill_from') }}, null, amounts.amount
        ) as baseline
    from periods
    cross join settings
    inner join accounts on periods.account_id = accounts.account_id
    left join amounts
        on
            periods.account_id = amounts.account_id
            and periods.period_start = amounts.period_start
            and (periods.subscription_id not like 'default:%' or amounts.is_of_default)
)

select * from final
