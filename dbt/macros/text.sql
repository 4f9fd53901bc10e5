{#- Text without the blanks, tabs and line ends that people paste along with it. -#}
{% macro trimmed(column) -%}
  trim({{ column }}, ' ' || chr(9) || chr(10) || chr(13))
{%- endmacro %}

{#-
  The form in which e-mail addresses are compared, on both sides of the match: trimmed, A to Z in lower case, every other
  character as it is. `lower` would not do: each engine has its own rules for letters such as the Greek final sigma, the
  Turkish dotted I, ß, ligatures and the Kelvin sign, and by some of them two people would be one.
-#}
{% macro normalised_email(column) -%}
  translate({{ trimmed(column) }}, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
{%- endmacro %}

{#- The form in which codes are compared: trimmed, a to z in upper case. -#}
{% macro normalised_code(column) -%}
  translate({{ trimmed(column) }}, 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')
{%- endmacro %}

{#- An e-mail of which a reader learns no more than its first character and its domain. -#}
{% macro masked_email(column) -%}
  left({{ column }}, 1) || '***'
  || case when {{ column }} like '%@%' then '@' || split_part({{ column }}, '@', 2) else '' end
{%- endmacro %}
