{#- The key under which facts are kept whose customer or product is not known (yet). -#}
{% macro unknown_key() -%}
  '-1'
{%- endmacro %}
