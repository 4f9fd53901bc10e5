// Compiles a chart's metric query to SQL as Lightdash's server does: fields, filters and formats come from its package, the
// SELECT around them is made here, since that part is not in the package. What this does not compile is an error.
import { lightdash } from './read.mjs';
import { escapeString } from './warehouse.mjs';

export class Refused extends Error {}

// Keys of a metric query that would change its SQL and that no chart of ours needs.
const NOT_COMPILED = ['additionalMetrics', 'customDimensions', 'tableCalculations', 'metricOverrides', 'dimensionOverrides', 'periodOverPeriod'];

// The fields and the SQL of a metric query, as one object for JSON.
export function compileQuery(query, explore) {
    for (const key of NOT_COMPILED) {
        if (query[key] && Object.keys(query[key]).length) throw new Refused(`${key} is not compiled`);
    }
    if (explore.joinedTables.length) throw new Refused('joins are not compiled');
    if ((query.timezone ?? 'UTC') !== 'UTC') throw new Refused(`the time zone ${query.timezone} is not compiled`);
    const all = new Map(lightdash.getFields(explore).map((field) => [lightdash.getItemId(field), field]));
    const render = (rule) => {
        const field = all.get(rule.target.fieldId);
        if (!field) throw new Refused(`there is no field ${rule.target.fieldId}`);
        return lightdash.renderFilterRuleSqlFromField(rule, field, '"', "'", escapeString(explore.targetDatabase), 0, explore.targetDatabase, 'UTC');
    };
    const where = groupSql(query.filters.dimensions, render);
    const having = groupSql(query.filters.metrics, render);
    const filtered = having ? lightdash.flattenFilterGroup(query.filters.metrics).map((rule) => rule.target.fieldId) : [];
    const inner = [...query.dimensions, ...new Set([...query.metrics, ...filtered])];
    const selects = inner.map((id) => `  ${all.get(id).compiledSql} AS "${id}"`).join(',\n');
    const { sqlTable } = explore.tables[explore.baseTable];
    const core = [
        `SELECT\n${selects}`,
        `FROM ${sqlTable} AS "${explore.baseTable}"`,
        where && `WHERE ${where}`,
        query.dimensions.length && `GROUP BY ${query.dimensions.map((_, index) => index + 1).join(', ')}`,
    ].filter(Boolean).join('\n');
    const shown = [...query.dimensions, ...query.metrics].map((id) => `"${id}"`).join(', ');
    const outer = having ? `WITH metrics AS (\n${core}\n)\nSELECT ${shown} FROM metrics\nWHERE ${having}` : core;
    // One row has no order.
    const sorts = query.dimensions.length ? query.sorts.map(sortSql).join(', ') : '';
    return {
        table: explore.baseTable,
        relation: sqlTable,
        fields: [...query.dimensions, ...query.metrics].map((id) => describeField(id, all.get(id))),
        where,
        having,
        limit: query.limit,
        sql: [outer, sorts && `ORDER BY ${sorts}`, `LIMIT ${query.limit}`].filter(Boolean).join('\n'),
    };
}

export function describeField(id, field) {
    return {
        id,
        kind: field.fieldType,
        type: field.type,
        label: field.label,
        description: field.description ?? null,
        format: field.format ?? null,
        interval: field.timeInterval ?? null,
        hidden: field.hidden,
        sql: field.compiledSql,
    };
}

function sortSql({ fieldId, descending, nullsFirst }) {
    const nulls = nullsFirst === undefined ? '' : ` NULLS ${nullsFirst ? 'FIRST' : 'LAST'}`;
    return `"${fieldId}"${descending ? ' DESC' : ''}${nulls}`;
}

// A group of rules and groups, each in parentheses; an empty one says nothing.
function groupSql(group, render) {
    const items = group?.and ?? group?.or ?? [];
    const texts = items.map((item) => (item.and || item.or ? groupSql(item, render) : `(${render(item)})`)).filter(Boolean);
    return texts.length ? `(${texts.join(group.and ? ' AND ' : ' OR ')})` : null;
}
