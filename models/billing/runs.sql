-- Nights, one row per as_of.
select run_id, {{ instant('as_of') }} as as_of, outcome, counts
from {{ source('books', 'runs') }}
