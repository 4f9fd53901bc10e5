{#- Text without the blanks, tabs and line ends that people paste along with it. -#}
{% macro trimmed(column) -%}
  trim({{ column }}, ' ' || chr(9) || chr(10) || chr(13))
{%- endmacro %}

{#- The form in which e-mail addresses are compared, on both sides of the match. -#}
{% macro normalised_email(column) -%}
  lower({{ trimmed(column) }})
{%- endmacro %}

{#- An e-mail of which a reader learns no more than its first character and its domain. -#}
{% macro masked_email(column) -%}
  left({{ column }}, 1) || '***'
  || case when {{ column }} like '%@%' then '@' || split_part({{ column }}, '@', 2) else '' end
{%- endmacro %}
