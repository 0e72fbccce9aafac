{#
  Where DuckDB and Spark say the same thing in other words, and the only place that knows. A model is written in what both
  understand and in these. Spark is set as assets/spark/tables.py says.
#}

{# Whole numbers of up to 38 digits: what is counted in billionths and divided. #}
{% macro whole(value) -%}
    {{ adapter.dispatch('whole')(value) }}
{%- endmacro %}
{% macro duckdb__whole(value) -%}
    cast({{ value }} as hugeint)
{%- endmacro %}
{% macro spark__whole(value) -%}
    cast({{ value }} as decimal(38, 0))
{%- endmacro %}

{# How often a whole number goes into another, what is left over dropped: of BIGINTs (div), and of any, the divisor being
   above zero (quotient). Spark divides long ones to 18 digits, so what goes in without a rest is divided, nineteen digits at
   a time. #}
{% macro div(number, by) -%}
    {{ adapter.dispatch('div')(number, by) }}
{%- endmacro %}
{% macro duckdb__div(number, by) -%}
    {{ number }} // {{ by }}
{%- endmacro %}
{% macro spark__div(number, by) -%}
    {{ number }} div {{ by }}
{%- endmacro %}

{% macro quotient(number, by) -%}
    {{ adapter.dispatch('quotient')(number, by) }}
{%- endmacro %}
{% macro duckdb__quotient(number, by) -%}
    {{ number }} // ({{ by }})
{%- endmacro %}
{% macro spark__quotient(number, by) -%}
    {{ spark__with_pair(number, by, spark__quotient_of('it.a', 'it.b')) }}
{%- endmacro %}
{% macro spark__quotient_of(number, by) -%}
    {%- set half = spark__whole('10000000000000000000') -%}
    {%- set low = number ~ " % " ~ half -%}
    {%- set high = spark__whole("(" ~ number ~ " - " ~ low ~ ") / " ~ half) -%}
    {%- set rest = spark__whole(high ~ " % " ~ by ~ " * " ~ half ~ " + " ~ low) -%}
    {{ spark__whole("(" ~ high ~ " - " ~ high ~ " % " ~ by ~ ") / " ~ by) }} * {{ half }}
    + {{ spark__whole("(" ~ rest ~ " - " ~ rest ~ " % " ~ by ~ ") / " ~ by) }}
{%- endmacro %}
{# What `body` makes of `it`, two whole numbers `a` and `b` that are written, and reckoned, once. #}
{% macro spark__with_pair(a, b, body) -%}
    transform(array(struct({{ spark__whole(a) }} as a, {{ spark__whole(b) }} as b)), it -> {{ body }})[0]
{%- endmacro %}

{# numerator / denominator as a whole number, half away from zero. #}
{% macro divide_round(numerator, denominator) -%}
    {{ adapter.dispatch('divide_round')(numerator, denominator) }}
{%- endmacro %}
{% macro duckdb__divide_round(numerator, denominator) -%}
    (2 * ({{ numerator }}) + cast(sign({{ numerator }}) as hugeint) * ({{ denominator }})) // (2 * ({{ denominator }}))
{%- endmacro %}
{# Not doubled first: 38 digits are a little less than 128 bits. #}
{% macro spark__divide_round(numerator, denominator) -%}
    {{ spark__with_pair(
        numerator,
        denominator,
        spark__quotient_of('it.a', 'it.b') ~ ' + if(abs(it.a % it.b) >= it.b - abs(it.a % it.b), if(it.a < 0, -1, 1), 0)'
    ) }}
{%- endmacro %}

{# Instants: as microseconds since 1970, moved on by some, and one after all others. #}
{% macro epoch_us(at) -%}
    {{ adapter.dispatch('epoch_us')(at) }}
{%- endmacro %}
{% macro duckdb__epoch_us(at) -%}
    epoch_us({{ at }})
{%- endmacro %}
{% macro spark__epoch_us(at) -%}
    timestampdiff(microsecond, timestamp_ntz '1970-01-01', {{ at }})
{%- endmacro %}

{% macro microseconds(number) -%}
    {{ adapter.dispatch('microseconds')(number) }}
{%- endmacro %}
{% macro duckdb__microseconds(number) -%}
    to_microseconds({{ number }})
{%- endmacro %}
{% macro spark__microseconds(number) -%}
    interval '0.000001' second * ({{ number }})
{%- endmacro %}

{% macro forever() -%}
    {{ adapter.dispatch('forever')() }}
{%- endmacro %}
{% macro duckdb__forever() -%}
    timestamp 'infinity'
{%- endmacro %}
{% macro spark__forever() -%}
    timestamp_ntz '+294247-01-10 04:00:54.775807'
{%- endmacro %}

{# An instant as text, to the second or the microsecond; readers get instants with their zone. #}
{% macro instant_text(at, precision='second') -%}
    {{ adapter.dispatch('instant_text')(at, precision) }}
{%- endmacro %}
{% macro duckdb__instant_text(at, precision) -%}
    strftime({{ at }}, '%Y-%m-%dT%H:%M:%S{{ '.%f' if precision == 'microsecond' }}Z')
{%- endmacro %}
{% macro spark__instant_text(at, precision) -%}
    date_format({{ at }}, "yyyy-MM-dd'T'HH:mm:ss{{ '.SSSSSS' if precision == 'microsecond' }}'Z'")
{%- endmacro %}

{# Inside, instants are UTC without a zone; readers get the instant itself. #}
{% macro instant(at) -%}
    {{ adapter.dispatch('instant')(at) }}
{%- endmacro %}
{% macro duckdb__instant(at) -%}
    make_timestamptz(epoch_us({{ at }}))
{%- endmacro %}
{% macro spark__instant(at) -%}
    cast({{ at }} as timestamp_ltz)
{%- endmacro %}

{# All columns but these, after a star. #}
{% macro but(columns) -%}
    {{ adapter.dispatch('but')(columns) }}
{%- endmacro %}
{% macro duckdb__but(columns) -%}
    exclude ({{ columns }})
{%- endmacro %}
{% macro spark__but(columns) -%}
    except ({{ columns }})
{%- endmacro %}

{# A row for each: of some values, and of the whole numbers from one to another. #}
{% macro each_of(values) -%}
    {{ adapter.dispatch('each_of')(values) }}
{%- endmacro %}
{% macro duckdb__each_of(values) -%}
    unnest([{{ values | join(', ') }}])
{%- endmacro %}
{% macro spark__each_of(values) -%}
    explode(array({{ values | join(', ') }}))
{%- endmacro %}

{% macro each_from(first, last) -%}
    {{ adapter.dispatch('each_from')(first, last) }}
{%- endmacro %}
{% macro duckdb__each_from(first, last) -%}
    unnest(range({{ first }}, {{ last }} + 1))
{%- endmacro %}
{% macro spark__each_from(first, last) -%}
    explode(sequence({{ first }}, {{ last }}))
{%- endmacro %}

{# A list of texts without any. #}
{% macro no_texts() -%}
    {{ adapter.dispatch('no_texts')() }}
{%- endmacro %}
{% macro duckdb__no_texts() -%}
    cast([] as varchar [])
{%- endmacro %}
{% macro spark__no_texts() -%}
    cast(array() as array<string>)
{%- endmacro %}

{# The texts of a group as one, in order. #}
{% macro joined(text, by) -%}
    {{ adapter.dispatch('joined')(text, by) }}
{%- endmacro %}
{% macro duckdb__joined(text, by) -%}
    string_agg({{ text }}, chr(30) order by {{ by }})
{%- endmacro %}
{% macro spark__joined(text, by) -%}
    string_agg({{ text }}, chr(30)) within group (order by {{ by }})
{%- endmacro %}

{# SHA-256 in hex. #}
{% macro sha256(text) -%}
    {{ adapter.dispatch('sha256')(text) }}
{%- endmacro %}
{% macro duckdb__sha256(text) -%}
    sha256({{ text }})
{%- endmacro %}
{% macro spark__sha256(text) -%}
    sha2({{ text }}, 256)
{%- endmacro %}

{# The 64 hex digits of an event key out of the two 128-bit halves it is stored and joined as. #}
{% macro event_key(hi, lo) -%}
    {{ adapter.dispatch('event_key')(hi, lo) }}
{%- endmacro %}
{% macro duckdb__event_key(hi, lo) -%}
    replace(concat(cast({{ hi }} as uuid), cast({{ lo }} as uuid)), '-', '')
{%- endmacro %}
{% macro spark__event_key(hi, lo) -%}
    lower(concat(hex({{ hi }}), hex({{ lo }})))
{%- endmacro %}

{# What a JSON object has under a key, whatever characters the key has: a text as it is, all else as JSON. #}
{% macro json_text(json, key) -%}
    {{ adapter.dispatch('json_text')(json, key) }}
{%- endmacro %}
{% macro duckdb__json_text(json, key) -%}
    json_extract_string({{ json }}, '/' || replace(replace({{ key }}, '~', '~0'), '/', '~1'))
{%- endmacro %}
{% macro spark__json_text(json, key) -%}
    from_json({{ json }}, 'map<string, string>')[{{ key }}]
{%- endmacro %}

{# A JSON object of texts that are JSON themselves, or numbers, by their keys. #}
{% macro json_of(members) -%}
    {{ adapter.dispatch('json_of')(members) }}
{%- endmacro %}
{% macro duckdb__json_of(members) -%}
    json_object({% for key, value in members.items() %}'{{ key }}', {{ value }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}
{% macro spark__json_of(members) -%}
    concat('{', {% for key, value in members.items() %}'"{{ key }}":', {{ value }}, {{ "',', " if not loop.last }}{% endfor %}'}')
{%- endmacro %}
