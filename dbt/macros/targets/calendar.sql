{#- A subquery with the whole numbers 0 to 10^digits - 1 in column `n`: a calendar without a generator function. -#}
{% macro whole_numbers(digits) -%}
  select
    {%- for i in range(digits) %} {{ '+ ' if not loop.first }}d{{ i }}.n * {{ 10 ** i }}{% endfor %} as n
  from
    {%- for i in range(digits) %}
    {{ 'cross join ' if not loop.first }}(values (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) as d{{ i }}(n)
    {%- endfor %}
{%- endmacro %}

{#- 1 = Monday to 7 = Sunday, whatever the session's week settings are. -#}
{% macro iso_day_of_week(date) -%}
  {{ adapter.dispatch('iso_day_of_week')(date) }}
{%- endmacro %}

{% macro duckdb__iso_day_of_week(date) -%}
  isodow({{ date }})
{%- endmacro %}

{% macro snowflake__iso_day_of_week(date) -%}
  dayofweekiso({{ date }})
{%- endmacro %}
