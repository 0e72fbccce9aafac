-- How the gate judged each night, and what the night would bill or has billed.
select {{ instant('as_of') }} as as_of, verdict, lines, money, {{ instant('last_posted') }} as last_posted, report
from {{ source('gate', 'nights') }}
