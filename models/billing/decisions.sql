-- What people decided, and what stood against it then.
select decision, subject, because, {{ instant('as_of') }} as as_of, detail
from {{ source('books', 'decisions') }}
