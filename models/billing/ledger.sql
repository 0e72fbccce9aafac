-- Every usage ever accepted, with the period it falls in, its state there and its money.
with entries as (
    select * from {{ source('books', 'ledger') }}
),

slices as (
    select * from {{ ref('int_periods__slices') }}
),

rated as (
    {{ rated('entries', 'slices') }}
),

final as (
    select
        {{ event_key('key_hi', 'key_lo') }} as event_key,
        source,
        rated.account_id,
        subscription_id,
        actor,
        {{ instant('period_start') }} as period_start,
        {{ instant('period_end') }} as period_end,
        {{ instant('occurred_at') }} as occurred_at,
        {{ instant('landed_at') }} as landed_at,
        meter,
        quantity,
        {{ shown('amount') }} as amount,
        coalesce(rated.currency, accounts.currency) as currency,
        state,
        is_counted_in_baseline as counted_in_baseline,
        context,
        raw_file,
        raw_line,
        plan,
        {{ instant('entered_at') }} as entered_at
    from rated
    left join {{ source('catalog', 'accounts') }} as accounts on rated.account_id = accounts.account_id
)

select * from final
