-- What every check of the gate found, night by night.
select
    {{ instant('as_of') }} as as_of,
    check_name,
    suite,
    kind,
    severity,
    outcome,
    verdict,
    about,
    detail,
    because,
    rows_found,
    at_stake
from {{ source('gate', 'checks') }}
