{#- A key's value as text: one form for each value on both warehouses, whatever a session's formats are. -#}
{% macro value_text(value, type) -%}
  {{ adapter.dispatch('value_text')(value, type) }}
{%- endmacro %}

{% macro snowflake__value_text(value, type) -%}
  {%- if type == 'text' -%}
    {{ value }}
  {%- elif type == 'date' -%}
    to_char({{ value }}, 'YYYY-MM-DD')
  {%- elif type == 'timestamp' -%}
    to_char({{ value }}, 'YYYY-MM-DD HH24:MI:SS.FF6')
  {%- else -%}
    cast({{ value }} as varchar)
  {%- endif -%}
{%- endmacro %}

{% macro duckdb__value_text(value, type) -%}
  {%- if type == 'text' -%}
    {{ value }}
  {%- elif type == 'date' -%}
    strftime({{ value }}, '%Y-%m-%d')
  {%- elif type == 'timestamp' -%}
    strftime({{ value }}, '%Y-%m-%d %H:%M:%S.%f')
  {%- else -%}
    cast({{ value }} as varchar)
  {%- endif -%}
{%- endmacro %}
