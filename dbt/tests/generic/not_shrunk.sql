{#-
  The mart has at least half of the rows that readers see now. Small ones may do as they like, and a mart that is meant to be
  smaller is let through by `--vars '{marts_may_shrink: true}'`.
-#}
{% test not_shrunk(model) %}
{%- set published = none %}
{#- Without a warehouse there is nothing to look at. -#}
{%- if execute and not env_var('DBT_SLUICE_COMPILE_AS', '') %}
  {%- set published = load_relation(model.incorporate(path={'schema': model.schema | replace(audit_suffix(), '')})) %}
{%- endif %}
{%- if published is none or var('marts_may_shrink') %}
select 1 as rows_built where 1 = 0
{%- else %}
select built.n as rows_built, seen.n as rows_published
from (select count(*) as n from {{ model }}) as built
cross join (select count(*) as n from {{ published }}) as seen
where seen.n >= 100 and built.n * 2 < seen.n
{%- endif %}
{% endtest %}
