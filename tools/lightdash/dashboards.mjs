// Checks of dashboard files: Lightdash's schema, then what it lets through.
import { checkRule } from './charts.mjs';
import { unknownKeys } from './keys.mjs';
import { lightdash } from './read.mjs';
import { validate } from './schema.mjs';

const COLUMNS = 36;

export function checkDashboards({ dashboards, charts, spaces }, manifest, explores, problem) {
    const root = lightdash.dashboardAsCodeSchema;
    const shown = new Set();
    const seen = new Map();
    for (const { path, value: dashboard } of dashboards) {
        const report = (message) => problem(path, message);
        const faults = validate(root, dashboard);
        faults.forEach(report);
        if (faults.length) continue;
        for (const key of unknownKeys(dashboard, root, root)) report(`Lightdash knows no key ${key}`);
        if (seen.has(dashboard.slug)) report(`its slug ${dashboard.slug} is that of ${seen.get(dashboard.slug)} too`);
        seen.set(dashboard.slug, path);
        if (!path.endsWith(`dashboards/${dashboard.slug}.yml`)) report(`the file of ${dashboard.slug} is dashboards/${dashboard.slug}.yml`);
        if (!spaces.some(({ value }) => value.slug === dashboard.spaceSlug)) report(`there is no space ${dashboard.spaceSlug}`);
        checkTiles(dashboard, report);
        const tiles = chartsOfTiles(dashboard, charts, report);
        for (const { chart } of tiles) shown.add(chart.slug);
        for (const filter of dashboard.filters?.dimensions ?? []) checkFilter(filter, tiles, explores, report);
        for (const kind of ['metrics', 'tableCalculations']) {
            if (dashboard.filters?.[kind]?.length) report(`filters: ${kind} are not used on dashboards here`);
        }
        checkExposure(dashboard, tiles, manifest, report);
    }
    for (const { path, value } of charts) {
        if (!shown.has(value?.slug)) problem(path, 'no dashboard shows it');
    }
}

function checkTiles(dashboard, report) {
    const tabs = dashboard.tabs.map((tab) => tab.slug);
    for (const [index, tile] of dashboard.tiles.entries()) {
        if (tile.x + tile.w > COLUMNS) report(`tiles[${index}] is wider than the ${COLUMNS} columns`);
        if (tile.tabSlug && !tabs.includes(tile.tabSlug)) report(`tiles[${index}]: there is no tab ${tile.tabSlug}`);
        for (const other of dashboard.tiles.slice(0, index)) {
            const apart = tile.x + tile.w <= other.x || other.x + other.w <= tile.x || tile.y + tile.h <= other.y || other.y + other.h <= tile.y;
            if (!apart && tile.tabSlug === other.tabSlug) report(`tiles[${index}] lies on tiles[${dashboard.tiles.indexOf(other)}]`);
        }
    }
}

// Tiles with the charts that they show. A tile's slug is what filters are aimed at, so each has its own.
export function chartsOfTiles(dashboard, charts, report) {
    const found = new Map();
    for (const tile of dashboard.tiles.filter(({ type }) => type === 'saved_chart')) {
        const chart = charts.find(({ value }) => value?.slug === tile.properties.chartSlug);
        if (!chart) report(`there is no chart ${tile.properties.chartSlug}`);
        if (!tile.tileSlug || found.has(tile.tileSlug)) report(`the tile of ${tile.properties.chartSlug} needs a tileSlug of its own`);
        if (chart) found.set(tile.tileSlug, { tileSlug: tile.tileSlug, chart: chart.value });
    }
    return [...found.values()];
}

function checkFilter(filter, tiles, explores, report) {
    const { fieldId, tableName } = filter.target;
    const dimensions = (table) => {
        const explore = explores.find(({ name }) => name === table);
        return explore && !lightdash.isExploreError(explore) ? lightdash.getFields(explore).filter(({ fieldType }) => fieldType === 'dimension').map(lightdash.getItemId) : [];
    };
    checkRule(filter, report);
    if (!dimensions(tableName).includes(fieldId)) report(`filters: there is no dimension ${fieldId} in ${tableName}`);
    const targets = filter.tileTargets ?? {};
    for (const [slug, target] of Object.entries(targets)) {
        const tile = tiles.find(({ tileSlug }) => tileSlug === slug);
        if (!tile) report(`filters: ${fieldId} is aimed at a tile ${slug} that is not there`);
        else if (target && !dimensions(tile.chart.tableName).includes(target.fieldId)) {
            report(`filters: there is no dimension ${target.fieldId} in the table of tile ${slug}`);
        }
    }
    const reached = tiles.filter(({ tileSlug, chart }) => targets[tileSlug] ?? (targets[tileSlug] !== false && chart.tableName === tableName));
    if (!reached.length) report(`filters: ${fieldId} reaches no tile`);
    for (const { tileSlug, chart } of reached) {
        // What a filter of a dashboard says takes the place of the chart's own rule on the field; both never hold.
        const own = chart.metricQuery?.filters?.dimensions;
        const field = targets[tileSlug]?.fieldId ?? fieldId;
        const replaced = own && lightdash.flattenFilterGroup(own).some(({ target }) => target.fieldId === field);
        if (replaced && !filter.disabled) report(`filters: ${fieldId} replaces the rule that the chart of tile ${tileSlug} has on it`);
    }
}

// Who reads a model is asked before it changes, so dbt has to know of the dashboard.
function checkExposure(dashboard, tiles, manifest, report) {
    const name = `${dashboard.slug.replaceAll('-', '_')}_dashboard`;
    const exposure = Object.values(manifest.exposures).find((exposure) => exposure.name === name);
    const read = [...new Set(tiles.map(({ chart }) => `model.sluice.${chart.tableName}`))].sort();
    if (!exposure) report(`dbt/models/exposures.yml has no ${name}`);
    else if (exposure.depends_on.nodes.toSorted().join() !== read.join()) report(`the exposure ${name} does not depend on just ${read.join(', ')}`);
}
