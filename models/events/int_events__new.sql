-- Tonight's meter events: for every hour that holds more or less than its events so far, what the rounded total moves by. Hours
-- in their order take up what rounding left over before them, so that all events of an account's meter add up to its rounded
-- total, and only hours that changed have an event.
with scope as (
    select * from {{ ref('int_events__scope') }}
),

meters as (
    select * from {{ source('catalog', 'meters') }} where aggregate in ('sum', 'count', 'cost')
),

made as (
    select * from {{ source('books', 'meter_events') }}
),

totals as (
    select
        account_id,
        meter,
        currency,
        sum(exact) as exact,
        sum(value) as value
    from made
    group by account_id, meter, currency
),

numbers as (
    select
        account_id,
        meter,
        bucket_start,
        max(event_no) as event_no
    from made
    group by account_id, meter, bucket_start
),

held_against as (
    select
        account_id,
        meter,
        currency,
        bucket_start,
        exact
    from {{ ref('int_events__usage') }}
    union all
    select
        made.account_id,
        made.meter,
        made.currency,
        made.bucket_start,
        -made.exact as exact
    from made
    inner join scope on made.bucket_start >= scope.from_at and made.bucket_start < scope.until_at
    where made.meter in (select meter from meters)
),

changes as (
    select
        account_id,
        meter,
        currency,
        bucket_start,
        cast(sum(exact) as decimal(38, 15)) as exact
    from held_against
    group by account_id, meter, currency, bucket_start
    having sum(exact) <> 0
),

running as (
    select
        changes.*,
        meters.aggregate,
        meters.divide_by,
        meters.divide_num,
        meters.divide_den,
        coalesce(totals.value, 0) as value_before,
        cast(coalesce(totals.exact, 0) + sum(changes.exact) over hours as decimal(38, 15)) as exact_so_far
    from changes
    inner join meters on changes.meter = meters.meter
    left join totals
        on
            changes.account_id = totals.account_id
            and changes.meter = totals.meter
            and changes.currency is not distinct from totals.currency
    window hours as (
        partition by changes.account_id, changes.meter, changes.currency
        order by changes.bucket_start
        rows between unbounded preceding and current row
    )
),

rounded as (
    select
        running.*,
        {{ whole_units('running.exact_so_far', 'running', 'currencies') }} as value_so_far
    from running
    left join {{ source('catalog', 'currencies') }} as currencies on running.currency = currencies.currency
),

numbered as (
    select
        rounded.*,
        cast(value_so_far - lag(value_so_far, 1, value_before) over hours as bigint) as value,
        coalesce(numbers.event_no, 0)
        + row_number() over (
            partition by rounded.account_id, rounded.meter, rounded.bucket_start order by rounded.currency
        ) as event_no
    from rounded
    left join numbers
        on
            rounded.account_id = numbers.account_id
            and rounded.meter = numbers.meter
            and rounded.bucket_start = numbers.bucket_start
    window hours as (
        partition by rounded.account_id, rounded.meter, rounded.currency order by rounded.bucket_start
    )
),

final as (
    select
        {{ event_identifier('numbered') }} as identifier,
        numbered.account_id,
        numbered.meter,
        numbered.aggregate,
        numbered.divide_by,
        numbered.currency,
        numbered.bucket_start,
        numbered.event_no,
        numbered.exact,
        numbered.value,
        scope.bill_from,
        scope.as_of as created_as_of
    from numbered
    cross join scope
)

select * from final
