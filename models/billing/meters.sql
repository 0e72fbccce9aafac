-- What is counted, and the unit it is sold in: the ledger's quantities are before divide_by, those of charges after it.
select meter, aggregate, divide_by, unit
from {{ source('catalog', 'meters') }}
