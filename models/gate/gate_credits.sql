-- Credit granted to each account by now, against the last night and against what its open periods have used.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

tonight as (
    select grants.account_id, grants.currency, count(*) as grants, cast(sum(grants.amount_minor) as bigint) as granted_minor
    from {{ source('catalog', 'credit_grants') }} as grants
    inner join settings on grants.granted_at <= settings.as_of
    group by all
),

before as (
    select seen.*
    from {{ source('gate', 'credits_seen') }} as seen
    inner join settings on seen.as_of < settings.as_of
),

last_night as (
    select * from before qualify as_of = max(as_of) over ()
),

used as (
    select account_id, currency, sum(gross) as gross from {{ ref('gate_standing') }} group by all
),

compared as (
    select
        settings.as_of as night,
        tonight.account_id,
        tonight.grants,
        coalesce(last_night.grants, 0) as last_grants,
        {{ shown(from_minor('tonight.granted_minor', 'currencies')) }} as granted,
        {{ shown(from_minor('tonight.granted_minor - coalesce(last_night.granted_minor, 0)', 'currencies')) }} as added,
        {{ shown('coalesce(used.gross, 0)') }} as gross,
        tonight.granted_minor,
        tonight.currency,
        {{ shown(from_minor('1', 'currencies')) }} as minor,
        {{ shown(from_minor('tonight.granted_minor - coalesce(last_night.granted_minor, 0)', 'currencies')) }} as at_stake
    from tonight
    cross join settings
    left join last_night on tonight.account_id = last_night.account_id and tonight.currency = last_night.currency
    left join used on tonight.account_id = used.account_id and tonight.currency = used.currency
    left join {{ source('catalog', 'currencies') }} as currencies on tonight.currency = currencies.currency
),

final as (
    select
        compared.*,
        {{ shown('sum(compared.added) over (partition by compared.currency)') }} as added_to_all,
        {{ shown('all_used.gross') }} as gross_of_all
    from compared
    left join (select currency, sum(gross) as gross from used group by all) as all_used using (currency)
)

select * from final
