{#-
  The condition of a staging model that a raw row counts: nobody has put its key aside (`sluice put-aside`). `row` is the alias
  of the raw table, `key` its key columns with their types, in the order of `key` in platform/sources.yaml. A row without a
  key cannot be put aside.
-#}
{% macro counts(table, row, key) -%}
  not exists (
    select 1
    from {{ put_aside_rows() }} as aside
    where aside.table_name = '{{ table }}'
      and aside.taken_back_at is null
      and aside.row_key = {{ key_text(row, key) }}
  )
{%- endmacro %}

{#- The list. An entry that was taken back stays in it. -#}
{% macro put_aside_rows() %}
  {{- return('ADMIN' ~ ('__' if target.type == 'duckdb' else '.') ~ 'OBSERVABILITY.PUT_ASIDE') -}}
{% endmacro %}

{#- A row's key as the list has it, RowKey in shared/sluice-pipeline/src/aside.rs: the only value as it is; of several each with % and / escaped. -#}
{% macro key_text(row, key) -%}
  {%- for column, type in key.items() -%}
    {%- set value = value_text(row ~ '.' ~ column, type) -%}
    {%- if key | length == 1 -%}
      {{ value }}
    {%- else -%}
      {{ " || '/' || " if not loop.first }}replace(replace({{ value }}, '%', '%25'), '/', '%2F')
    {%- endif -%}
  {%- endfor -%}
{%- endmacro %}

{#-
  For the hook of an incremental model whose lines have the key of a raw table: takes out the lines of rows that were put
  aside since. An affected day would not do, because one that has no other line is built of nothing. What is taken back is
  found as a new row is.
-#}
{% macro forget_put_aside(table, column) -%}
  {%- if is_incremental() -%}
    delete from {{ this }}
    where {{ column }} in (
      select aside.row_key
      from {{ put_aside_rows() }} as aside
      where aside.table_name = '{{ table }}' and aside.taken_back_at is null
    )
  {%- endif -%}
{%- endmacro %}
