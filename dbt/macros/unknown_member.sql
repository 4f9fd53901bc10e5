{#- The key under which facts are kept whose customer or product is not known (yet). -#}
{% macro unknown_key() -%}
  '-1'
{%- endmacro %}

{#- The last moment of what ends at `end`, exclusive: of what has no end yet, the last moment that is kept. -#}
{% macro last_moment(end) -%}
  coalesce({{ end }} - interval '1 microsecond', cast('9999-12-31 23:59:59.999999' as datetime))
{%- endmacro %}
