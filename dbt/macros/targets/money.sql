{#-
  Money is decimal from end to end, and every product below is exact before it is rounded once.

  Both warehouses round decimals half away from zero; amounts are never negative, so that is half up.
  Types: quantity decimal(19,0) x price decimal(18,4) has 4 decimals, x rate decimal(18,10) has 14.
-#}
{% macro amount_usd(quantity, price) -%}
  cast({{ quantity }} as decimal(19, 0)) * cast({{ price }} as decimal(18, 4))
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
