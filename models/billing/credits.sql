-- Credit granted, used and expired, with the balance of the grant before and after.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

final as (
    select
        credits.grant_id,
        credits.account_id,
        credits.kind,
        credits.amount_minor,
        credits.balance_before,
        credits.balance_after,
        credits.line_id,
        {{ instant('credits.moved_at') }} as at,
        credits.movement_no
    from {{ source('books', 'credits') }} as credits
    semi join settings on credits.book = settings.book
)

select * from final
