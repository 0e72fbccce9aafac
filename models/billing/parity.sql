-- Two counts of the same usage, hour by hour, of the last week: their totals, and whether the hour alarms.
select
    comparison,
    {{ instant('hour_start') }} as hour_start,
    unit,
    accounts,
    accounts_flagged,
    accounts_one_sided,
    accounts_alarming,
    {{ count_shown('reference_units', 'per', 'digits') }} as reference,
    {{ count_shown('candidate_units', 'per', 'digits') }} as candidate,
    {{ count_shown('difference_units', 'per', 'digits') }} as difference,
    {{ drift_shown('difference_units', 'reference_units') }} as drift,
    is_alarming,
    is_alert
from {{ ref('int_parity__totals') }}
