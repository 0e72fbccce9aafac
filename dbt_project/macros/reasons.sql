{# The order in which reasons apply, of SPEC's section on the ledger. #}
{% macro reason_rank(reason) -%}
    list_position(
        ['malformed', 'missing_field', 'bad_timestamp', 'bad_number', 'precision',
         'future', 'unknown_meter', 'unknown_account', 'no_payer', 'key_conflict'],
        {{ reason }}
    )
{%- endmacro %}

{# What makes two usages under one key the same: SHA-256 over what the row says, in whole units, absent ones empty. #}
{% macro content_hash(usage) -%}
    sha256(
        concat(
            epoch_us({{ usage }}.occurred_at), chr(31),
            {{ usage }}.account, chr(31),
            {{ usage }}.actor, chr(31),
            cast({{ usage }}.quantity * 1000000000 as hugeint), chr(31),
            cast(replace(cast({{ usage }}.cost as varchar), '.', '') as hugeint)
        )
    )
{%- endmacro %}

{# Whether a row's usages ({event_key: content}) contradict what stands under those keys already. #}
{% macro conflicts(usages, taken) -%}
    list_has_any(
        list_transform(map_entries({{ usages }}), lambda u: coalesce({{ taken }}[u.key] <> u.value, false)), [true]
    )
{%- endmacro %}
