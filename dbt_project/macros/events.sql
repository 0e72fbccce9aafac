{# The whole units that Stripe counts of an exact total, half away from zero: minor units of money, or what is sold of a quantity.
   `meter` has its aggregate and divide_by as a fraction; `currency` is the alias of a catalog.currencies row. #}
{% macro whole_units(exact, meter, currency) -%}
    case
        when {{ meter }}.aggregate = 'cost' then {{ round_minor(exact, currency) }}
        else {{ divide_round(
            "(" ~ nano("cast(" ~ exact ~ " as decimal(38, 9))") ~ " * " ~ meter ~ ".divide_den)",
            "(" ~ meter ~ ".divide_num * 1000000000)"
        ) }}
    end
{%- endmacro %}

{# Names an event at Stripe, in at most 100 characters: account, hour, meter, and which event of the hour it is from the second
   on. Longer ones, and those of a meter whose name could be read as such a number, are told by a digest. #}
{% macro event_identifier(event) -%}
    {%- set hour = instant_text(event ~ ".bucket_start") -%}
    {%- set plain = "concat(" ~ event ~ ".account_id, ':', " ~ hour ~ ", ':', " ~ event ~ ".meter, if(" ~ event
        ~ ".event_no > 1, concat(':', " ~ event ~ ".event_no), ''))" -%}
    if(
        length({{ plain }}) <= 100 and not contains({{ event }}.meter, ':'),
        {{ plain }},
        concat({{ hour }}, ':', {{ sha256('concat(' ~ event ~ '.account_id, chr(31), ' ~ event ~ '.meter, chr(31), ' ~ event ~ '.event_no)') }})
    )
{%- endmacro %}
