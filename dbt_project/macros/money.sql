{#
  Exact money. DuckDB divides decimals through binary doubles, so every ratio is taken on whole numbers: quantities as
  whole billionths (9 digits), costs as whole 10^-15ths (15 digits), money as DECIMAL(38,18).
#}

{% macro nano(quantity) -%}
    {{ whole(quantity ~ " * 1000000000") }}
{%- endmacro %}

{% macro femto(cost) -%}
    {{ whole("replace(cast(cast(" ~ cost ~ " as decimal(38, 15)) as string), '.', '')") }}
{%- endmacro %}

{# A whole number of 10^-18ths as money. #}
{% macro money(attos) -%}
    cast({{ attos }} as decimal(38, 0)) * cast(0.000000000000000001 as decimal(18, 18))
{%- endmacro %}

{# units x numerator / denominator as money, `digits` being the fractional digits a unit stands for: multiplied first, divided
   once, rounded at the 18th digit. Of long numbers the whole part and the rest go separately, so that the product of the two
   does not leave 38 digits; short ones, nearly all there are, are spared the four further divisions. #}
{% macro times_ratio(units, numerator, denominator, digits=9) -%}
    {%- set shift = 10 ** (18 - digits) -%}
    {%- set times = quotient(units, denominator) -%}
    {%- set rest = "((" ~ units ~ " % (" ~ denominator ~ ")) * " ~ numerator ~ ")" -%}
    {{ money(
        "if(" ~ is_short(units, numerator) ~ ", "
        ~ divide_round(units ~ " * " ~ numerator ~ " * " ~ shift, denominator) ~ ", "
        ~ "((" ~ times ~ ") * " ~ numerator ~ " + " ~ quotient(rest, denominator) ~ ") * " ~ shift ~ " + "
        ~ divide_round("(" ~ rest ~ " % (" ~ denominator ~ ")) * " ~ shift, denominator) ~ ")"
    ) }}
{%- endmacro %}

{# The same of billionths, divided by one whole number more, `over`, as a level is averaged over its period: first by that, then
   by the denominator, since the product of the two may leave 38 digits. What a division leaves goes on into the next one, so
   nothing is lost: a half is one where twice the number has no less than the denominator, whatever digits follow. #}
{% macro times_ratio_over(units, numerator, denominator, over) -%}
    {%- set mean = "(" ~ quotient(units, over) ~ ")" -%}
    {%- set past = past_the_mean(units, numerator, over) -%}
    {%- set within = within_denominator(units, numerator, denominator, over) -%}
    {%- set last = last_digits(units, numerator, denominator, over) -%}
    {%- set doubled = "(2 * (" ~ last ~ " % " ~ denominator ~ ") + " ~ quotient("(2 * (" ~ past ~ " % " ~ over ~ "))", over) ~ ")" -%}
    {{ money(
        "if(" ~ is_short(units, numerator) ~ " and " ~ denominator ~ " <= 1000000000000000000, "
        ~ divide_round(units ~ " * " ~ numerator ~ " * 1000000000", "(" ~ denominator ~ " * " ~ over ~ ")") ~ ", "
        ~ "((" ~ quotient(mean, denominator) ~ ") * " ~ numerator ~ " + " ~ quotient(within, denominator) ~ ") * 1000000000 + "
        ~ quotient(last, denominator) ~ " + " ~ divide_round(doubled, "(2 * " ~ denominator ~ ")") ~ ")"
    ) }}
{%- endmacro %}

{# What is left of `units` under their mean, times the numerator. #}
{% macro left_of_mean(units, numerator, over) -%}
    ((({{ units }}) % {{ over }}) * {{ numerator }})
{%- endmacro %}

{# What the mean leaves under the denominator, times the numerator, with the whole part of what is left of the mean. #}
{% macro within_denominator(units, numerator, denominator, over) -%}
    ((({{ quotient(units, over) }}) % {{ denominator }}) * {{ numerator }} + {{ quotient(left_of_mean(units, numerator, over), over) }})
{%- endmacro %}

{# The part of it below one, as the nine digits to come. #}
{% macro past_the_mean(units, numerator, over) -%}
    (({{ left_of_mean(units, numerator, over) }} % {{ over }}) * 1000000000)
{%- endmacro %}

{# What is to be divided by the denominator for the last digits, but for what lies below one of it. #}
{% macro last_digits(units, numerator, denominator, over) -%}
    (({{ within_denominator(units, numerator, denominator, over) }} % {{ denominator }}) * 1000000000
    + ({{ quotient(past_the_mean(units, numerator, over), over) }}))
{%- endmacro %}

{# Whether the product, with nine digits more, stays within 38. #}
{% macro is_short(units, numerator) -%}
    abs({{ units }}) <= 1000000000000000000 and abs({{ numerator }}) <= 10000000000
{%- endmacro %}

{# 1 where times_ratio had to round at the 18th digit, 0 where the product ends there or before. #}
{% macro is_rounded(units, numerator, denominator, digits=9) -%}
    {%- set shift = 10 ** (18 - digits) -%}
    {%- set rest = "((" ~ units ~ " % (" ~ denominator ~ ")) * " ~ numerator ~ ")" -%}
    if(
        if(
            {{ is_short(units, numerator) }},
            {{ units }} * {{ numerator }} * {{ shift }},
            ({{ rest }} % ({{ denominator }})) * {{ shift }}
        ) % ({{ denominator }}) <> 0,
        1, 0
    )
{%- endmacro %}

{% macro is_rounded_over(units, numerator, denominator, over) -%}
    if(
        {{ past_the_mean(units, numerator, over) }} % {{ over }} <> 0
        or {{ last_digits(units, numerator, denominator, over) }} % {{ denominator }} <> 0,
        1, 0
    )
{%- endmacro %}

{# Money that was put together of ratios, `roundings` of which may not have ended at the 18th digit: each is off by half of that
   digit at most. Where a number of 15 digits lies within reach of that, it is the one that is meant: three thirds are one.
   Without such ratios all 18 digits count, so that nothing is rounded on its way to the one rounding that bills. #}
{% macro meant(amount, roundings) -%}
    cast(
        if(
            abs({{ amount }} - cast(round({{ amount }}, 15) as decimal(38, 18)))
            <= cast({{ roundings }} as decimal(18, 0)) * cast(0.000000000000000001 as decimal(18, 18)),
            cast(round({{ amount }}, 15) as decimal(38, 18)),
            {{ amount }}
        ) as decimal(38, 18)
    )
{%- endmacro %}

{# The only rounding that bills: half away from zero to what Stripe accepts, as minor units. `currency` is the alias of a catalog.currencies row: exponent says how minor units are counted, step what Stripe takes. #}
{% macro round_minor(amount, currency) -%}
    cast(
        case
            when {{ currency }}.exponent = 0 or {{ currency }}.step = 100 then cast(round({{ amount }}, 0) as decimal(38, 2))
            else cast(round({{ amount }}, 2) as decimal(38, 2))
        end
        * {{ minor_per_unit(currency) }} as bigint
    )
{%- endmacro %}

{% macro minor_per_unit(currency) -%}
    case {{ currency }}.exponent when 0 then 1 when 3 then 1000 else 100 end
{%- endmacro %}

{# Minor units back as money, exactly. A currency that is not listed (any more) has two decimals, in steps of one: those with
   rules of their own always are. #}
{% macro from_minor(minor, currency) -%}
    cast(
        cast({{ minor }} as decimal(38, 0))
        * case {{ currency }}.exponent when 0 then 1 when 3 then cast(0.001 as decimal(3, 3)) else cast(0.01 as decimal(3, 3)) end
        as decimal(38, 18)
    )
{%- endmacro %}
