{#-
  Money is decimal from end to end, and every product below is exact before it is rounded once.

  Both warehouses round decimals half away from zero; amounts are never negative, so that is half up.
  Types: quantity decimal(19,0) x price decimal(18,4) is decimal(37,4), which holds every product. A line of 10^12 dollars
  or more has no amount: below that, amount x rate decimal(18,10) has at most 34 digits, 14 of them decimals. So no product and
  no sum can overflow, also where a warehouse computes a branch that it does not take. An amount is decimal(19,4) although
  16 digits would do: DuckDB multiplies decimals of up to 18 digits in 64 bits.
-#}
{% macro amount_usd(quantity, price) -%}
  {%- set amount = 'cast(' ~ quantity ~ ' as decimal(19, 0)) * cast(' ~ price ~ ' as decimal(18, 4))' -%}
  cast(case when abs({{ amount }}) < 1000000000000 then {{ amount }} end as decimal(19, 4))
{%- endmacro %}

{% macro converted(amount, rate) -%}
  {{ adapter.dispatch('converted')(amount, rate) }}
{%- endmacro %}

{% macro duckdb__converted(amount, rate) -%}
  {{ amount }} * cast({{ rate }} as decimal(18, 10))
{%- endmacro %}

{#-
  Snowflake keeps min(s1 + s2, max(s1, s2, 12)) decimals of a product: with a rate of 10 decimals it would round to 12
  first and to 2 afterwards. A rate of 14 decimals keeps all of them.
-#}
{% macro snowflake__converted(amount, rate) -%}
  {{ amount }} * cast({{ rate }} as decimal(28, 14))
{%- endmacro %}

{% macro round_half_up(amount) -%}
  cast(round({{ amount }}, 2) as decimal(38, 2))
{%- endmacro %}

{#- The sum of quantities. A quantity may be as large as a bigint, so their sum may be larger. -#}
{% macro total_items(quantity) -%}
  cast(sum({{ quantity }}) as decimal(38, 0))
{%- endmacro %}

{#-
  The sum of lines in pounds. Null where lines have dollars and none of them has pounds: 0.00 would say that they cost
  nothing. Where only some lines have no rate it is the sum of the others.
-#}
{% macro total_gbp(line_gbp, is_unconverted) -%}
  case
    when count({{ line_gbp }}) > 0 or sum(case when {{ is_unconverted }} then 1 else 0 end) = 0
      then cast(coalesce(sum({{ line_gbp }}), 0) as decimal(38, 2))
  end
{%- endmacro %}
