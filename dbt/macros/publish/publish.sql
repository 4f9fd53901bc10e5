{#-
  Write, audit, publish. `dbt build` writes marts and reporting aside (schema_names.sql) and tests them there. This runs at
  the end of every invocation and publishes what was built, but only if nothing is wrong: no model and no test that failed
  or was skipped, in this run or in an earlier one and not repaired since. Otherwise readers keep the numbers they had.

  What waits and what is wrong is kept in MARTS_AUDIT.publication, one row per node, so that a retry that runs only what
  failed publishes everything that the failed run had built.

  All tables change in one transaction. On Snowflake DDL ends a transaction, so a table is created (or made again when its
  columns have changed) before it and views are replaced after it.
-#}
{% macro publish(results) %}
  {% if flags.WHICH not in ['build', 'run', 'test'] or names_are_published() or flags.EMPTY %}{{ return('') }}{% endif %}
  {% set state = publication_state() %}
  {% do update_publication_state(state, results) %}
  {% set wrong = state | dictsort | selectattr('1.status', 'equalto', 'failed') | map(attribute='0') | list %}
  {% set waiting = state | dictsort | selectattr('1.status', 'equalto', 'built') | map(attribute='0') | list %}
  {% if wrong %}
    {% do log('Nothing is published: ' ~ wrong | length ~ ' nodes are wrong, e.g. ' ~ wrong[0]
      ~ '. Readers keep what they had.', info=true) %}
  {% elif waiting %}
    {% do publish_nodes(waiting, state) %}
    {% do log('Published ' ~ waiting | length ~ ' relations.', info=true) %}
  {% endif %}
  {% do save_publication_state({} if not wrong else state) %}
  {{ return('') }}
{% endmacro %}

{% macro publish_nodes(nodes, state) %}
  {% set tables = [] %}
  {% set views = [] %}
  {% set before = [] %}
  {% set within = [] %}
  {% for layer in published_layers() %}
    {% do adapter.create_schema(api.Relation.create(database=target.database, schema=warehouse_schema(layer))) %}
  {% endfor %}
  {% for id in nodes %}
    {% set node = graph.nodes[id] %}
    {% set target_relation = published_relation(node) %}
    {% set existing = load_relation(target_relation) %}
    {% if node.config.materialized == 'view' %}
      {% do views.append(node) %}
      {% if existing is not none and existing.type == 'table' %}{% do before.append('drop table ' ~ existing) %}{% endif %}
    {% else %}
      {% do tables.append(node) %}
      {% set changes = publish_table(node, audit_relation(node), target_relation, existing) %}
      {% do before.extend(changes.before) %}
      {% do within.extend(changes.within) %}
    {% endif %}
  {% endfor %}
  {% set after = [] %}
  {% for node in views %}
    {#- The query that was tested, on the published tables. -#}
    {% do after.append(create_published_view(node, state[node.unique_id].query | replace(audit_suffix(), ''))) %}
  {% endfor %}
  {% do run_in_publishing_order(before, within, after) %}
  {% do publish_comments(tables + views) %}
{% endmacro %}

{#- The statements that bring a published table to what was built, and when they may run. -#}
{% macro publish_table(node, source_relation, target_relation, existing) %}
  {% set columns = adapter.get_columns_in_relation(source_relation) %}
  {% set same = existing is not none and existing.type == 'table' and column_signature(columns)
    == column_signature(adapter.get_columns_in_relation(target_relation)) %}
  {% set names = columns | map(attribute='quoted') | join(', ') %}
  {% if not same %}
    {% set drop = ['drop view ' ~ existing] if existing is not none and existing.type == 'view' else [] %}
    {{ return({'before': drop + [create_published_table(source_relation, target_relation)], 'within': []}) }}
  {% endif %}
  {% set day = node.config.get('meta', {}).get('published_by') %}
  {% if not day %}
    {{ return({'before': [], 'within': [
      'delete from ' ~ target_relation,
      'insert into ' ~ target_relation ~ ' (' ~ names ~ ') select ' ~ names ~ ' from ' ~ source_relation,
    ]}) }}
  {% endif %}
  {% set days = changed_days(source_relation, target_relation, day, names) %}
  {% if not days %}{{ return({'before': [], 'within': []}) }}{% endif %}
  {% set condition = ' where ' ~ day ~ ' in (' ~ days | join(', ') ~ ')' %}
  {{ return({'before': [], 'within': [
    'delete from ' ~ target_relation ~ condition,
    'insert into ' ~ target_relation ~ ' (' ~ names ~ ') select ' ~ names ~ ' from ' ~ source_relation ~ condition,
  ]}) }}
{% endmacro %}

{#- The days on which the two tables differ, as literals. -#}
{% macro changed_days(source_relation, target_relation, day, names) %}
  {% set query = query_of_changed_days(source_relation, target_relation, day, names) %}
  {% set literals = [] %}
  {% for row in run_query(query) %}{% do literals.append("cast('" ~ row[0] ~ "' as date)") %}{% endfor %}
  {{ return(literals) }}
{% endmacro %}

{% macro column_signature(columns) %}
  {% set parts = [] %}
  {% for column in columns %}{% do parts.append(column.name | lower ~ ' ' ~ column.data_type | lower) %}{% endfor %}
  {{ return(parts | join(', ')) }}
{% endmacro %}

{% macro audit_relation(node) %}
  {{ return(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) }}
{% endmacro %}

{% macro published_relation(node) %}
  {% set type = 'view' if node.config.materialized == 'view' else 'table' %}
  {% set schema = node.schema | replace(audit_suffix(), '') %}
  {{ return(api.Relation.create(database=node.database, schema=schema, identifier=node.alias, type=type)) }}
{% endmacro %}

{#- Stops a build that would write to the published relations. -#}
{% macro refuse_to_build_in_place() %}
  {% if names_are_published() and flags.WHICH in ['build', 'run', 'test', 'seed', 'snapshot'] %}
    {% do exceptions.raise_compiler_error('DBT_SLUICE_RELATIONS=published is for documentation; a build without it publishes by itself') %}
  {% endif %}
{% endmacro %}
