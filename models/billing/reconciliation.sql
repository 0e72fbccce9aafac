-- What differs between the books and Stripe, of the key in use, as of when each customer was last compared.
with settings as (
    select * from {{ source('catalog', 'settings') }} where book = 'live'
),

final as (
    select
        found.customer,
        found.kind,
        found.account_id,
        found.name,
        found.stripe_id,
        found.invoice,
        found.meter,
        {{ instant('found.bucket_start') }} as bucket_start,
        found.amount_minor,
        found.currency,
        found.books_minor,
        found.stripe_minor,
        found.books_quantity,
        found.stripe_quantity,
        found.detail,
        {{ instant('found.reconciled_at') }} as reconciled_at
    from {{ source('books', 'reconciliation') }} as found
    semi join settings on found.key_mode = settings.key_mode
)

select * from final
