-- Rows held, with the reason and what could be read of them.
select
    source,
    raw_file,
    raw_line,
    reason,
    detail,
    quantity,
    {{ shown('cost') }} as cost,
    {{ instant('first_seen') }} as first_seen,
    raw_text
from {{ source('books', 'quarantine') }}
