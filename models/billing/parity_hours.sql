-- The accounts and hours of billing.parity in which the two counts are too far apart; all others agree.
select
    hours.comparison,
    hours.account_id,
    {{ instant('hours.hour_start') }} as hour_start,
    hours.unit,
    if(hours.is_one_sided, if(hours.reference_usages = 0, 'candidate_only', 'reference_only'), 'drift') as flag,
    {{ count_shown('hours.reference_units', 'hours.per', 'hours.digits') }} as reference,
    {{ count_shown('hours.candidate_units', 'hours.per', 'hours.digits') }} as candidate,
    {{ count_shown('hours.difference_units', 'hours.per', 'hours.digits') }} as difference,
    {{ drift_shown('hours.difference_units', 'hours.reference_units') }} as drift,
    hours.is_alarming
from {{ ref('int_parity__hours') }} as hours
inner join {{ ref('int_parity__scope') }} as scope
    on hours.comparison = scope.comparison and hours.hour_start >= scope.from_at
where hours.is_one_sided or hours.is_drifting
