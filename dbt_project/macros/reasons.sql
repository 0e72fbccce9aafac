{# The order in which reasons apply, of SPEC's section on the ledger. #}
{% macro reason_rank(reason) -%}
    case {{ reason }}
        {%- for each in (
            'malformed', 'missing_field', 'bad_timestamp', 'bad_number', 'precision',
            'future', 'unknown_meter', 'unknown_account', 'no_payer', 'key_conflict'
        ) %}
        when '{{ each }}' then {{ loop.index }}
        {%- endfor %}
    end
{%- endmacro %}

{# What makes two usages under one key the same: SHA-256 over what the row says, in whole units, absent ones empty. #}
{% macro content_hash(usage) -%}
    {%- set parts = (
        epoch_us(usage ~ ".occurred_at"),
        usage ~ ".account",
        usage ~ ".actor",
        nano(usage ~ ".quantity"),
        whole("replace(cast(" ~ usage ~ ".cost as string), '.', '')"),
    ) -%}
    {{ sha256(
        "concat(coalesce(cast(" ~ parts | join(" as string), ''), chr(31), coalesce(cast(") ~ " as string), ''))"
    ) }}
{%- endmacro %}

{# Whether the usages of a row contradict what is taken: some key of theirs is, and not by the same. Each is a list of event
   keys, and one of the same keys with their contents. #}
{% macro conflicts(keys, usages, taken_keys, taken) -%}
    cardinality(array_intersect({{ keys }}, {{ taken_keys }})) <> cardinality(array_intersect({{ usages }}, {{ taken }}))
{%- endmacro %}
