-- A line is billed once: no id of tonight is in the books or twice in the night, and none is over nothing.
{{ config(meta={'dagster': {'ref': {'name': 'int_lines__new'}}}) }}

select line_id, count(*) as times, any_value(amount_minor) as amount_minor
from (
    select line_id, amount_minor from {{ ref('int_lines__new') }}
    union all
    select lines.line_id, lines.amount_minor
    from {{ source('books', 'lines') }} as lines
    semi join {{ ref('int_lines__new') }} as new_lines on lines.line_id = new_lines.line_id
)
group by line_id
having count(*) > 1 or min(abs(amount_minor)) = 0 or line_id is null
