-- Who bills the compared usage if this side begins at bill_from, all of it by the part it plays. Reckoned only while the live
-- book has not begun.
--   reference  old                the old side bills it, before bill_from
--              both_from_on       from bill_from on: the old side bills it, and this side its own count of it
--   candidate  new                this side bills it
--              new_uncharged      from bill_from on, under a plan that charges nothing for it: sold so, and billed by nobody
--              new_by_baseline    this side bills it in a baseline of a period that has not ended by bill_from
--              old                before bill_from, in an hour of the account that the reference counts too
--              earlier            before the reference begins: nothing to compare with
--              both_by_baseline   before bill_from and in a baseline that this side bills, and the reference counts it too
--              neither            before bill_from, in an hour of the account that the reference does not know
--              neither_expired    from bill_from on, but it landed after its period's late window, or no period holds it
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

scope as (
    select * from {{ ref('int_parity__scope') }} where is_going_live and bill_from is not null
),

sides as (
    {{ parity_sides('scope') }}
),

slices as (
    select * from {{ ref('int_periods__slices') }}
),

entries as (
    select * from {{ ref('int_ledger__entries') }} where meter in (select meter from sides)
),

rated as (
    {{ rated('entries', 'slices') }}
),

usages as (
    select
        rated.account_id,
        rated.occurred_at,
        rated.quantity,
        rated.cost,
        rated.amount,
        rated.is_counted_in_baseline and rated.period_end > sides.bill_from as is_counted_in_baseline,
        rated.aggregate is not null as is_charged,
        rated.occurred_at >= sides.bill_from as is_from_on,
        coalesce(rated.landed_at > rated.period_end + {{ microseconds('settings.late_window_us') }}, true) as is_expired,
        coalesce(accounts.currency, 'unknown') as currency,
        cast(date_trunc('hour', rated.occurred_at) as timestamp) as hour_start,
        sides.* {{ but('source') }}
    from sides
    inner join rated on sides.meter = rated.meter and coalesce(sides.source, rated.source) = rated.source
    cross join settings
    left join {{ source('catalog', 'accounts') }} as accounts on rated.account_id = accounts.account_id
),

reference_hours as (
    select distinct comparison, account_id, hour_start from usages where side = 'reference'
),

reference_begins as (
    select comparison, min(hour_start) as begins_at from reference_hours group by comparison
),

parted as (
    select
        usages.*,
        case
            when usages.side = 'reference' then if(usages.is_from_on, 'both_from_on', 'old')
            when usages.is_from_on and usages.is_expired then 'neither_expired'
            when usages.is_counted_in_baseline and not usages.is_from_on and reference_hours.comparison is not null
                then 'both_by_baseline'
            when usages.is_counted_in_baseline then 'new_by_baseline'
            when usages.is_from_on then if(usages.is_charged, 'new', 'new_uncharged')
            when usages.hour_start < coalesce(reference_begins.begins_at, {{ forever() }}) then 'earlier'
            when reference_hours.comparison is not null then 'old'
            -- Rows that come to nothing are no usage that anybody could miss.
            when not usages.is_count and coalesce(usages.quantity, usages.cost) = 0 then 'old'
            else 'neither'
        end as part
    from usages
    left join reference_hours
        on
            usages.comparison = reference_hours.comparison
            and usages.account_id = reference_hours.account_id
            and usages.hour_start = reference_hours.hour_start
    left join reference_begins on usages.comparison = reference_begins.comparison
),

by_hour as (
    select
        comparison,
        side,
        part,
        currency,
        if(measure = 'cost', currency, unit) as unit,
        per,
        digits,
        account_id,
        hour_start,
        count(*) as usages,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at,
        {{ parity_units('parted', 'parted') }} as units,
        sum(amount) as amount
    from parted
    group by comparison, side, part, currency, measure, unit, per, digits, is_count, factor, account_id, hour_start
),

final as (
    select
        comparison,
        side,
        part,
        currency,
        unit,
        per,
        digits,
        cast(sum(usages) as bigint) as usages,
        count(*) as account_hours,
        count(distinct account_id) as accounts,
        min_by(account_id, (first_at, account_id)) as an_account,
        min(first_at) as first_at,
        max(last_at) as last_at,
        sum(units) as units,
        cast(sum(amount) as decimal(38, 18)) as amount
    from by_hour
    group by comparison, side, part, currency, unit, per, digits
)

select * from final
