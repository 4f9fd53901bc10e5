{#- The key under which facts are kept whose customer or product is not known (yet). -#}
{% macro unknown_key() -%}
  '-1'
{%- endmacro %}

{#- The end of what has no end yet. -#}
{% macro end_of_time() -%}
  cast('9999-12-31 23:59:59.999999' as datetime)
{%- endmacro %}
