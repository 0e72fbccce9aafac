-- What moved overnight in each open period: against the last night, and against what nights before added to the subscription.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

tonight as (
    select * from {{ ref('gate_standing') }}
),

before as (
    select seen.*
    from {{ source('gate', 'periods_seen') }} as seen
    inner join settings on seen.book = settings.book and seen.as_of < settings.as_of
),

last_night as (
    select * from before qualify as_of = max(as_of) over ()
),

-- What each night added, before anything is given: the first of a period all that it had.
added as (
    select
        subscription_id,
        as_of,
        gross - coalesce(lag(gross) over (partition by subscription_id, period_start order by as_of), 0) as added
    from before
),

usual as (
    select
        subscription_id,
        count(distinct as_of) as nights_known,
        max(added) as most_added
    from added
    where as_of > (select min(as_of) from before)
    group by all
),

final as (
    select
        settings.as_of as night,
        coalesce(tonight.subscription_id, last_night.subscription_id) as subscription_id,
        coalesce(tonight.account_id, last_night.account_id) as account_id,
        coalesce(tonight.period_start, last_night.period_start) as period_start,
        coalesce(tonight.period_end, last_night.period_end) as period_end,
        tonight.subscription_id is null as is_gone,
        tonight.plan,
        last_night.plan as last_plan,
        tonight.plan = last_night.plan
        and tonight.version_from = last_night.version_from
        and tonight.price_list <> last_night.price_list as has_other_prices,
        tonight.seats,
        last_night.seats as last_seats,
        tonight.seats / last_night.seats as seats_times,
        last_night.currency as last_currency,
        {{ shown('tonight.included') }} as included,
        {{ shown('last_night.included') }} as last_included,
        {{ shown('tonight.baseline') }} as baseline,
        {{ shown('last_night.baseline') }} as last_baseline,
        {{ shown('tonight.owed') }} as owed,
        {{ shown('last_night.owed') }} as last_owed,
        {{ shown('tonight.gross - coalesce(last_night.gross, 0)') }} as added,
        {{ shown('usual.most_added') }} as most_added,
        {{ shown('last_night.owed - tonight.owed') }} as fell_by,
        coalesce(usual.nights_known, 0) as nights_known,
        coalesce(tonight.currency, last_night.currency) as currency,
        {{ shown(from_minor('1', 'currencies')) }} as minor,
        {{ shown('coalesce(tonight.gross, last_night.gross)') }} as gross,
        {{ shown('last_night.gross') }} as last_gross,
        {{ shown('greatest(tonight.owed, last_night.owed)') }} as at_stake
    from tonight
    full join last_night
        on tonight.subscription_id = last_night.subscription_id and tonight.period_start = last_night.period_start
    cross join settings
    left join usual on coalesce(tonight.subscription_id, last_night.subscription_id) = usual.subscription_id
    left join {{ source('catalog', 'currencies') }} as currencies
        on coalesce(tonight.currency, last_night.currency) = currencies.currency
    anti join {{ source('books', 'closes') }} as closes
        on
            tonight.subscription_id is null
            and last_night.book = closes.book
            and last_night.subscription_id = closes.subscription_id
            and last_night.period_start = closes.period_start
)

select * from final
