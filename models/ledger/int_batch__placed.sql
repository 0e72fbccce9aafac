-- Every usage of tonight's batch with its payer and subscription as of the instant it happened, and with the reason
-- (the first in SPEC's order) that holds it, if any. It is found three times a night, which is sooner done than to
-- write it down.
{{ config(materialized='view') }}

with settings as (
    select * from {{ source('catalog', 'settings') }}
),

batch as (
    select * from {{ source('landing', 'batch') }} where emit_no >= 0
),

-- Who may fall back on the default plan: everyone, unless the plan is for another currency.
defaults as (
    select accounts.account_id
    from {{ source('catalog', 'accounts') }} as accounts
    cross join settings
    inner join {{ source('catalog', 'plans') }} as plans
        on settings.default_plan = plans.plan and accounts.currency = coalesce(plans.currency, accounts.currency)
),

placed as (
    select
        batch.*,
        accounts.account_id is not null as is_account_known,
        meters.meter is not null as is_meter_known,
        case
            when batch.account is not null then accounts.account_id
            when spans.actor is not null then spans.account_id
            else own_defaults.account_id
        end as payer_id,
        case
            when terms.subscription_id is not null then terms.subscription_id
            when spans.actor is not null then spans.subscription_id
            else 'default:' || coalesce(defaults.account_id, own_defaults.account_id)
        end as payer_subscription_id,
        settings.ahead_until
    from batch
    cross join settings
    left join {{ source('catalog', 'accounts') }} as accounts on batch.account = accounts.account_id
    left join defaults on batch.account = defaults.account_id
    left join defaults as own_defaults on batch.account is null and batch.actor = own_defaults.account_id
    left join {{ source('catalog', 'meters') }} as meters on batch.meter = meters.meter
    -- Terms of an account never overlap, nor do an actor's spans: a usage meets one at most.
    left join {{ source('catalog', 'terms') }} as terms
        on
            batch.account = terms.account_id
            and batch.occurred_at >= terms.starts_at
            and batch.occurred_at < coalesce(terms.ends_at, {{ forever() }})
    left join {{ ref('int_payers__spans') }} as spans
        on
            (case when batch.account is null then batch.actor end) = spans.actor
            and batch.occurred_at >= spans.from_at
            and batch.occurred_at < spans.to_at
),

final as (
    select
        source,
        raw_file,
        raw_line,
        emit_no,
        identity_hi,
        key_hi,
        key_lo,
        meter,
        occurred_at,
        landed_at,
        account,
        actor,
        payer_id as account_id,
        payer_subscription_id as subscription_id,
        quantity,
        cost,
        context,
        detail,
        case
            when reason is not null then reason
            when occurred_at > ahead_until then 'future'
            when not is_meter_known then 'unknown_meter'
            when account is not null and not is_account_known then 'unknown_account'
            when payer_subscription_id is null then 'no_payer'
        end as reason
    from placed
)

select * from final
