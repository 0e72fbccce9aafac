-- What the charges of open periods that are reckoned from a meter's total come to so far, by meter and currency: the money that
-- a usage moves where it has no amount of its own.
select
    metered.meter,
    charges.currency,
    cast(sum(charges.owed) as decimal(38, 18)) as owed
from {{ ref('int_usage__metered') }} as metered
inner join {{ ref('int_charges__owed') }} as charges
    on
        metered.subscription_id = charges.subscription_id
        and metered.period_start = charges.period_start
        and charges.charge = 'metered:' || metered.plan || ':' || metered.meter
group by all
