-- The lines of the month that closes, straight from the ledger and the catalogue: what somebody who knows DuckDB and this
-- month writes, with exact arithmetic and nothing else. No late or expired usage, no closed periods, no credit, no earlier
-- lines, no proof. Usage is read once for all that adds up, and once more where single rows matter.
with slices as (
    select
        p.subscription_id, p.account_id, p.period_start, p.period_end, t.plan, t.seats, v.version_from,
        greatest(t.starts_at, p.period_start) as slice_start,
        least(coalesce(t.ends_at, p.period_end), p.period_end) as slice_end,
        epoch_us(p.period_end - p.period_start) // 1000000 as period_s,
        v.included, v.refresh_allowance, v.minimum
    from catalog.periods as p
    join catalog.terms as t
        on p.subscription_id = t.subscription_id and t.starts_at < p.period_end and coalesce(t.ends_at, p.period_end) > p.period_start
    join catalog.plan_versions as v
        on t.plan = v.plan and p.period_start >= v.version_from and p.period_start < coalesce(v.version_to, p.period_end)
    where p.period_end <= (select as_of - to_microseconds(close_grace_us) from catalog.settings)
),

charges as (
    select s.*, c.* exclude (plan, version_from)
    from slices as s
    join catalog.charges as c on s.plan = c.plan and s.version_from = c.version_from
),

-- Pooled usage by its window of 24 hours, all else by its plan.
added as (
    select
        l.subscription_id, c.plan, l.meter,
        case when c.is_pooled then epoch_us(l.occurred_at - c.period_start) // 86400000000 end as window_no,
        count(*) as events, sum(l.quantity) as quantity, sum(l.cost) as cost, max(l.quantity) as peak
    from books.ledger as l
    join charges as c
        on
            l.subscription_id = c.subscription_id and l.meter = c.meter
            and l.occurred_at >= c.slice_start and l.occurred_at < c.slice_end
    group by all
),

uniques as (
    select l.subscription_id, c.plan, l.meter, count(distinct l.actor) as actors
    from books.ledger as l
    join charges as c
        on
            l.subscription_id = c.subscription_id and l.meter = c.meter
            and l.occurred_at >= c.slice_start and l.occurred_at < c.slice_end
    where l.meter in (select meter from catalog.meters where aggregate = 'unique_count')
    group by all
),

latest as (
    select l.subscription_id, c.plan, l.meter, arg_max(l.quantity, (l.occurred_at, l.key_hi, l.key_lo)) as quantity
    from books.ledger as l
    join charges as c
        on
            l.subscription_id = c.subscription_id and l.meter = c.meter
            and l.occurred_at >= c.slice_start and l.occurred_at < c.slice_end
    where l.meter in (select meter from catalog.meters where aggregate = 'latest')
    group by all
),

-- The rates within min and max of this catalogue end within 18 digits: units of 10^-9 by a rate of 10^-3.
clamped as (
    select
        l.subscription_id, c.plan, l.meter,
        sum(least(greatest(
            c.fixed + cast(cast(l.quantity * 1000000000 as hugeint) * c.rate_num * (1000000000 // c.rate_den) as decimal(38, 0))
            * cast(0.000000000000000001 as decimal(18, 18)), c.min_amount), c.max_amount)) as owed
    from books.ledger as l
    join charges as c
        on
            l.subscription_id = c.subscription_id and l.meter = c.meter
            and l.occurred_at >= c.slice_start and l.occurred_at < c.slice_end
    where c.is_clamped and l.meter in (select meter from catalog.charges where is_clamped)
    group by all
),

changes as (
    select
        c.subscription_id, c.plan, c.meter, c.slice_start, c.slice_end,
        greatest(l.occurred_at, c.slice_start) as changed_at, sum(l.quantity) as change
    from books.ledger as l
    join charges as c on l.account_id = c.account_id and l.meter = c.meter and l.occurred_at < c.slice_end
    where l.meter in (select meter from catalog.meters where aggregate = 'time_weighted')
    group by all
),

levels as (
    select subscription_id, plan, meter, sum(cast(greatest(level, 0) * 1000000000 as hugeint) * epoch_us(until_at - changed_at)) as level_us
    from (
        select
            *,
            sum(change) over (partition by subscription_id, plan, meter, slice_start order by changed_at) as level,
            lead(changed_at, 1, slice_end) over (partition by subscription_id, plan, meter, slice_start order by changed_at) as until_at
        from changes
    )
    group by all
),

windows as (
    select
        a.subscription_id, a.window_no,
        sum(
            case
                when r.aggregate = 'cost' then cast(a.cost as decimal(38, 18))
                else
                    cast(
                        (2 * cast(a.quantity * 1000000000 as hugeint) * r.rate_num * 1000000000 + r.rate_den) // (2 * r.rate_den)
                        as decimal(38, 0)
                    ) * cast(0.000000000000000001 as decimal(18, 18))
            end
        ) as usage
    from added as a
    join (select distinct plan, meter, aggregate, is_pooled, rate_num, rate_den from charges) as r
        on a.plan = r.plan and a.meter = r.meter
    where r.is_pooled
    group by all
),

periods as (
    select
        subscription_id, any_value(account_id) as account_id, period_start, any_value(period_end) as period_end,
        any_value(period_s) as period_s,
        arg_max(minimum, slice_start) as minimum,
        cast(
            (2 * sum(cast(included * 1000 as hugeint) * seats * (epoch_us(slice_end - slice_start) // 1000000)) * 1000000000000000
                + any_value(period_s)) // (2 * any_value(period_s)) as decimal(38, 0)
        ) * cast(0.000000000000000001 as decimal(18, 18)) as included
    from slices
    group by subscription_id, period_start
),

pooled as (
    select
        w.subscription_id,
        sum(w.usage) as usage,
        sum(least(greatest(w.usage, 0), s.refresh_allowance * s.seats)) as refresh
    from windows as w
    join periods as p on w.subscription_id = p.subscription_id
    join slices as s
        on
            w.subscription_id = s.subscription_id
            and p.period_start + to_microseconds(w.window_no * 86400000000) >= s.slice_start
            and p.period_start + to_microseconds(w.window_no * 86400000000) < s.slice_end
    group by all
),

counted as (
    select
        c.subscription_id, c.plan, c.meter, c.version_from, c.model, c.fixed, c.price, c.package_per, c.package_free,
        c.package_size, k.owed as clamped, c.is_clamped,
        coalesce(a.events, 0) as events, if(c.aggregate = 'cost', 15, 9) as digits,
        if(c.aggregate = 'time_weighted', c.period_s * 1000000, 1) as denominator,
        coalesce(
            case c.aggregate
                when 'cost' then cast(replace(cast(a.cost as varchar), '.', '') as hugeint)
                when 'sum' then cast(a.quantity * 1000000000 as hugeint)
                when 'count' then cast(a.events as hugeint) * 1000000000
                when 'max' then cast(a.peak * 1000000000 as hugeint)
                when 'latest' then cast(t.quantity * 1000000000 as hugeint)
                when 'unique_count' then cast(u.actors as hugeint) * 1000000000
                when 'time_weighted' then v.level_us
            end, 0
        ) as units
    from (select distinct on (subscription_id, plan, meter) * from charges where not is_pooled) as c
    left join added as a on c.subscription_id = a.subscription_id and c.plan = a.plan and c.meter = a.meter
    left join uniques as u on c.subscription_id = u.subscription_id and c.plan = u.plan and c.meter = u.meter
    left join latest as t on c.subscription_id = t.subscription_id and c.plan = t.plan and c.meter = t.meter
    left join clamped as k on c.subscription_id = k.subscription_id and c.plan = k.plan and c.meter = k.meter
    left join levels as v on c.subscription_id = v.subscription_id and c.plan = v.plan and c.meter = v.meter
),

priced as (
    select
        m.*,
        g.base,
        units * g.rate_num as num,
        g.rate_den * denominator as den,
        if(digits = 15, 1000, 1000000000) as shift
    from counted as m
    left join catalog.segments as g
        on
            m.plan = g.plan and m.version_from = g.version_from and m.meter = g.meter
            and (g.up_to_units is null or m.units <= g.up_to_units * m.denominator)
    qualify row_number() over (partition by m.subscription_id, m.plan, m.meter order by g.segment_no) = 1
),

owed as (
    select
        subscription_id,
        'metered:' || plan || ':' || meter as charge,
        case
            when is_clamped then coalesce(clamped, 0)
            when model = 'package'
                then price * greatest(
                    (units * package_per - package_free + package_size - 1) // package_size, 0
                )
            -- Whole units first and the rest after them, or 10^-18ths of a level over a month would leave 128 bits.
            else base
                + cast(
                    (num // den) * shift + (2 * (num % den) * shift + cast(sign(num) as hugeint) * den) // (2 * den)
                    as decimal(38, 0)
                ) * cast(0.000000000000000001 as decimal(18, 18))
                + if(model = 'percentage', fixed * events, 0)
        end as owed
    from priced
    union all
    select p.subscription_id, 'overage', greatest(greatest(coalesce(o.usage - o.refresh, 0), 0) - p.included, 0)
    from periods as p
    left join pooled as o on p.subscription_id = o.subscription_id
),

rounded as (
    select subscription_id, charge, cast(round(owed, 2) * 100 as bigint) as amount_minor from owed
),

billed as (
    select * from rounded
    union all
    select p.subscription_id, 'minimum', cast(round(greatest(p.minimum - sum(r.amount_minor) / 100.00::decimal(5, 2), 0), 2) * 100 as bigint)
    from periods as p
    join rounded as r on p.subscription_id = r.subscription_id
    group by p.subscription_id, p.minimum
)

select b.subscription_id, p.account_id, p.period_start, p.period_end, b.charge, b.amount_minor
from billed as b
join periods as p on b.subscription_id = p.subscription_id
where b.amount_minor <> 0
