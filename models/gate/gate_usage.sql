-- What came in tonight, counted: usage of new rows by where it ends and by the hour of its age. Rows read again were counted
-- when they first came. Once the batch is posted there is nothing new.
{{ config(materialized='table') }}
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

slices as (
    select * from {{ ref('int_periods__slices') }}
),

entries as (
    select entries.*, settings.as_of as entered_at
    from {{ ref('int_ledger__new') }} as entries
    cross join settings
),

rated as (
    {{ rated('entries', 'slices') }}
),

ended as (
    select
        source, raw_file, raw_line, landed_at, meter, occurred_at, currency, quantity, cost, amount,
        case
            when state <> 'billable' then state
            when aggregate is null then 'free'
            when subscription_id like 'default:%' then 'default_plan'
            else 'entered'
        end as fate,
        account_id is null or subscription_id is null or occurred_at is null or (quantity is null and cost is null)
            as is_incomplete
    from rated
    union all
    select
        placed.source, placed.raw_file, placed.raw_line, placed.landed_at, placed.meter, placed.occurred_at,
        accounts.currency, placed.quantity, placed.cost, cast(placed.cost as decimal(38, 18)) as amount,
        if(exceptions.verdict = 'duplicate', 'duplicate', exceptions.reason) as fate,
        false as is_incomplete
    from {{ ref('int_batch__exceptions') }} as exceptions
    inner join {{ ref('int_batch__placed') }} as placed
        on
            exceptions.source = placed.source
            and exceptions.raw_file = placed.raw_file
            and exceptions.raw_line = placed.raw_line
            and exceptions.emit_no = placed.emit_no
    left join {{ source('catalog', 'accounts') }} as accounts on placed.account_id = accounts.account_id
),

-- Only rows of files with held rows are looked up.
read_again as (
    select source, raw_file, raw_line
    from {{ source('landing', 'batch') }}
    where raw_file in (select raw_file from {{ source('books', 'quarantine') }})
),

held_before as (
    select quarantine.source, quarantine.raw_file, quarantine.raw_line
    from {{ source('books', 'quarantine') }} as quarantine
    semi join read_again
        on
            quarantine.source = read_again.source
            and quarantine.raw_file = read_again.raw_file
            and quarantine.raw_line = read_again.raw_line
),

new_rows as (
    select ended.*
    from ended
    anti join held_before
        on
            ended.source = held_before.source
            and ended.raw_file = held_before.raw_file
            and ended.raw_line = held_before.raw_line
),

final as (
    select
        landed_at,
        source,
        meter,
        currency,
        fate,
        -- Beyond a quarter of a year old is old, and ahead is ahead.
        cast(
            greatest(
                least({{ div('(' ~ epoch_us('landed_at') ~ ' - ' ~ epoch_us('occurred_at') ~ ')', 3600000000) }}, 2160), -1
            ) as integer
        ) as age_hours,
        count(*) as usages,
        count(*) filter (where quantity < 0 or cost < 0) as negatives,
        count(*) filter (where is_incomplete) as incomplete,
        cast(sum(quantity) as decimal(38, 9)) as quantity,
        cast(sum(cost) as decimal(38, 15)) as cost,
        cast(sum(amount) as decimal(38, 18)) as amount
    from new_rows
    group by all
)

select * from final
