{#-
  The memory of publish.sql. A node is `built` (waits to be published, with the query of a view) or `failed` (a model or a
  test that failed or was skipped). A node without a row is neither.
-#}
{% macro publication_relation() %}
  {{ return(api.Relation.create(
    database=target.database, schema=warehouse_schema('marts' ~ audit_suffix()), identifier='publication', type='table',
  )) }}
{% endmacro %}

{% macro publication_state() %}
  {% set relation = publication_relation() %}
  {% set state = {} %}
  {% if load_relation(relation) is none %}
    {% do adapter.create_schema(relation.without_identifier()) %}
    {% do run_query('create table if not exists ' ~ relation ~ ' (node varchar, status varchar, query varchar)') %}
  {% endif %}
  {% for row in run_query('select node, status, query from ' ~ relation) %}
    {#- What has left the project is nobody's concern any more. -#}
    {% if row[0] in graph.nodes %}{% do state.update({row[0]: {'status': row[1], 'query': row[2]}}) %}{% endif %}
  {% endfor %}
  {{ return(state) }}
{% endmacro %}

{#- A unit test that fails makes its model skipped, which says enough. `dbt run` tests nothing, so what it has built counts as failed until a build or a test says otherwise. -#}
{% macro update_publication_state(state, results) %}
  {% for result in results if result.node.resource_type in ['model', 'test'] %}
    {% set id = result.node.unique_id %}
    {% if result.status in ['error', 'fail', 'skipped', 'runtime error', 'partial success'] %}
      {% do state.update({id: {'status': 'failed', 'query': none}}) %}
    {% elif result.node.resource_type == 'model' and result.node.config.schema in published_layers() %}
      {% set status = 'failed' if flags.WHICH == 'run' else 'built' %}
      {% do state.update({id: {'status': status, 'query': result.node.compiled_code}}) %}
    {% else %}
      {% do state.pop(id, none) %}
    {% endif %}
  {% endfor %}
{% endmacro %}

{% macro save_publication_state(state) %}
  {% set relation = publication_relation() %}
  {% set rows = [] %}
  {% for id, entry in state.items() %}
    {% set query = text_literal(entry.query) if entry.query and graph.nodes[id].config.materialized == 'view' else 'null' %}
    {% do rows.append("(" ~ text_literal(id) ~ ", '" ~ entry.status ~ "', " ~ query ~ ")") %}
  {% endfor %}
  {% set statements = ['delete from ' ~ relation] %}
  {% if rows %}
    {% do statements.append('insert into ' ~ relation ~ ' (node, status, query) values ' ~ rows | join(', ')) %}
  {% endif %}
  {% do run_in_publishing_order([], statements, []) %}
{% endmacro %}
