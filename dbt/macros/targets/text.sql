{#- Text without the blanks, tabs and line ends that people paste along with it. -#}
{% macro trimmed(column) -%}
  trim({{ column }}, ' ' || chr(9) || chr(10) || chr(13))
{%- endmacro %}

{#- The form in which e-mail addresses are compared, on both sides of the match. -#}
{% macro normalised_email(column) -%}
  lower({{ trimmed(column) }})
{%- endmacro %}

{#- A lateral from-item: one row per part of a delimited text, in `<alias>.value`, to be cast to varchar. -#}
{% macro split_to_rows(column, delimiter, alias) -%}
  {{ adapter.dispatch('split_to_rows')(column, delimiter, alias) }}
{%- endmacro %}

{% macro duckdb__split_to_rows(column, delimiter, alias) -%}
  unnest(string_split({{ column }}, '{{ delimiter }}')) as {{ alias }}(value)
{%- endmacro %}

{% macro snowflake__split_to_rows(column, delimiter, alias) -%}
  lateral flatten(input => split({{ column }}, '{{ delimiter }}')) as {{ alias }}
{%- endmacro %}
