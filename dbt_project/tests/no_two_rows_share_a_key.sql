-- The grain of the models that no other check holds to theirs: of one key there is one row, and none without its key.
{{ config(meta={'dagster': {'ref': {'name': 'int_periods__reckoned'}}}) }}

{% set keys = {
    'int_ledger__nights': ['as_of'],
    'int_periods__reckoned': ['subscription_id', 'period_start'],
    'int_parity__scope': ['comparison'],
    'quarantine': ['source', 'raw_file', 'raw_line'],
} %}
{# Of these a part of the key may be missing: a row that could not be read has no meter, an unknown account no currency. #}
{% set open_keys = {
    'int_received__new': ['source', 'raw_file', 'day', 'meter'],
    'int_parity__seam': ['comparison', 'side', 'part', 'currency', 'unit'],
    'files': ['raw_file', 'source'],
} %}

{% for model, columns in dict(keys, **open_keys).items() %}
select '{{ model }}' as model, count(*) as rows_found
from {{ ref(model) }}
group by {{ columns | join(', ') }}
having count(*) > 1{% if model in keys %}{% for column in columns %} or {{ column }} is null{% endfor %}{% endif %}

{{ 'union all' if not loop.last }}
{% endfor %}
