// Checks of chart files: Lightdash's schema, then what it lets through.
import { unknownKeys } from './keys.mjs';
import { lightdash } from './read.mjs';
import { branchOf, validate } from './schema.mjs';

const OPERATORS = lightdash.chartAsCodeSchema.$defs.FilterOperator.enum;
const SETTINGS = ['unitOfTime', 'completed'];

export function checkCharts(charts, spaces, explores, problem) {
    const seen = new Map();
    for (const { path, value: chart } of charts) {
        const report = (message) => problem(path, message);
        const root = branchOf(lightdash.chartAsCodeSchema, 'chartConfig', chart?.chartConfig?.type);
        if (!root) report(`there is no chart of type ${chart?.chartConfig?.type}`);
        const faults = root ? validate(root, chart) : ['no type'];
        faults.filter(() => root).forEach(report);
        if (faults.length) continue;
        for (const key of unknownKeys(chart, root, root)) report(`Lightdash knows no key ${key}`);
        if (seen.has(chart.slug)) report(`its slug ${chart.slug} is that of ${seen.get(chart.slug)} too`);
        seen.set(chart.slug, path);
        if (!path.endsWith(`charts/${chart.slug}.yml`)) report(`the file of ${chart.slug} is charts/${chart.slug}.yml`);
        if (!spaces.some(({ value }) => value.slug === chart.spaceSlug)) report(`there is no space ${chart.spaceSlug}`);
        const explore = explores.find(({ name }) => name === chart.tableName);
        if (!explore || lightdash.isExploreError(explore)) report(`there is no table ${chart.tableName}`);
        else checkFields(chart, explore, report);
    }
}

function checkFields(chart, explore, report) {
    const query = chart.metricQuery;
    if (query.exploreName !== chart.tableName) report(`exploreName is ${query.exploreName} and tableName is ${chart.tableName}`);
    const fields = new Map(lightdash.getFields(explore).map((field) => [lightdash.getItemId(field), field]));
    const expect = (id, kind, place) => {
        if (fields.get(id)?.fieldType !== kind) report(`${place}: there is no ${kind} ${id} in ${explore.name}`);
    };
    for (const id of query.dimensions) expect(id, 'dimension', 'dimensions');
    for (const id of query.metrics) expect(id, 'metric', 'metrics');
    for (const [kind, group] of [['dimension', query.filters.dimensions], ['metric', query.filters.metrics]]) {
        for (const rule of group ? lightdash.flattenFilterGroup(group) : []) {
            expect(rule.target.fieldId, kind, 'filters');
            checkRule(rule, report);
        }
    }
    const selected = new Set([...query.dimensions, ...query.metrics]);
    for (const [place, ids] of idsShown(chart)) {
        for (const id of ids.filter((id) => !selected.has(id))) report(`${place}: ${id} is not in the query`);
    }
    for (const sort of query.sorts) {
        // Warehouses differ about nulls, so a sort says where they go.
        if (typeof sort.nullsFirst !== 'boolean') report(`sorts: ${sort.fieldId} does not say nullsFirst`);
    }
    checkWhatMetricsNeed(query, fields, report);
}

export function checkRule(rule, report) {
    if (!OPERATORS.includes(rule.operator)) report(`filters: there is no operator ${rule.operator}`);
    for (const key of Object.keys(rule.settings ?? {})) {
        if (!SETTINGS.includes(key)) report(`filters: Lightdash knows no setting ${key}`);
    }
}

// Fields by the place in the chart that shows them; Lightdash draws nothing where one is not in the query.
function idsShown({ metricQuery, tableConfig, pivotConfig, chartConfig: { config = {} } }) {
    const { layout = {}, eChartsConfig = {} } = config;
    const references = (eChartsConfig.series ?? []).flatMap((series) => [series.encode?.xRef?.field, series.encode?.yRef?.field]);
    return Object.entries({
        sorts: metricQuery.sorts.map((sort) => sort.fieldId),
        columnOrder: tableConfig?.columnOrder ?? [],
        pivotConfig: pivotConfig?.columns ?? [],
        xField: [layout.xField],
        yField: layout.yField ?? [],
        series: references,
        selectedField: [config.selectedField],
        groupFieldIds: config.groupFieldIds ?? [],
        metricId: [config.metricId],
        columns: Object.keys(config.columns ?? {}),
    }).map(([place, ids]) => [place, ids.filter((id) => id !== undefined)]);
}

// A metric tagged per_<dimension> is grouped by that dimension, or one value of it is picked.
function checkWhatMetricsNeed(query, fields, report) {
    const rules = query.filters.dimensions?.and?.filter((rule) => rule.target) ?? [];
    for (const id of query.metrics) {
        const field = fields.get(id);
        for (const tag of (field?.tags ?? []).filter((tag) => tag.startsWith('per_'))) {
            const dimension = `${field.table}_${tag.slice('per_'.length)}`;
            const picked = rules.some(({ target, operator, values = [] }) => target.fieldId === dimension && operator === 'equals' && values.length === 1);
            if (!query.dimensions.includes(dimension) && !picked) report(`${id} mixes the values of ${dimension}: group by it or pick one`);
        }
    }
}
