{#- The model has at least, and at most, this many rows. -#}
{% test row_count(model, minimum=none, maximum=none, arguments=none) %}
{%- set least = minimum if minimum is not none else (arguments or {}).get('minimum', 0) %}
{%- set most = maximum if maximum is not none else (arguments or {}).get('maximum') %}
select count(*) as rows_found
from {{ model }}
having count(*) < {{ least }}{% if most is not none %} or count(*) > {{ most }}{% endif %}
{% endtest %}
