-- Tonight's accepted usages: the batch less its exceptions, laid down as the ledger will hold them, by meter and time: an
-- eighth smaller than as they came, and quicker to go through. Posting enters them as they lie, and leaves none.
with placed as (
    select * from {{ ref('int_batch__placed') }}
),

final as (
    select
        placed.key_hi,
        placed.key_lo,
        placed.source,
        placed.meter,
        placed.account_id,
        placed.subscription_id,
        placed.account is not null as is_account_named,
        placed.actor,
        placed.occurred_at,
        placed.landed_at,
        placed.quantity,
        placed.cost,
        placed.context,
        placed.raw_file,
        placed.raw_line,
        placed.emit_no
    from placed
    anti join {{ ref('int_batch__exceptions') }} as exceptions
        on
            placed.source = exceptions.source
            and placed.raw_file = exceptions.raw_file
            and placed.raw_line = exceptions.raw_line
            and placed.emit_no = exceptions.emit_no
)

select * from final order by meter, occurred_at
