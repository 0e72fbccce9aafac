-- The rows that the checks of the gate found, whole.
select {{ instant('as_of') }} as as_of, check_name, row_no, found, currency, at_stake
from {{ source('gate', 'check_rows') }}
