#!/usr/bin/env node
// Compiles every chart and every tile of dbt/lightdash to the SQL of a manifest's warehouse and prints it as JSON:
//
//   tools/lightdash/compile.mjs <manifest.json> --as-of 2026-03-16
//
//   adapter, as_of   what it was compiled for; filters such as "in the past 90 days" count from that day, at midnight UTC
//   tables           each table's relation and every field: id, kind, type, label, format, interval, sql
//   charts           by slug: the fields that it shows, in order, `where`, `having`, `limit` and its `sql`
//   tiles            by <dashboard>/<tileSlug>: the same, with the filters of the dashboard
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { DBT } from './faults.mjs';
import { chartsOfTiles } from './dashboards.mjs';
import { compileExplores, lightdash, parseFiles, readFiles } from './read.mjs';
import { compileQuery, describeField, Refused } from './query.mjs';

// What is in the package asks the clock by itself.
function stopTheClock(day) {
    const RealDate = Date;
    const now = RealDate.parse(`${day}T00:00:00Z`);
    if (Number.isNaN(now)) throw new Refused(`--as-of is a day such as 2026-03-16, not ${day}`);
    globalThis.Date = class extends RealDate {
        constructor(...parts) {
            super(...(parts.length ? parts : [now]));
        }

        static now() {
            return now;
        }
    };
}

function refuse(where, message) {
    throw new Refused(`${where}: ${message}`);
}

async function compileAll(manifest, day) {
    const found = parseFiles(readFiles(DBT), refuse);
    const explores = await compileExplores(manifest, found.config);
    const exploreOf = (chart) => explores.find(({ name }) => name === chart.tableName) ?? refuse(chart.slug, `there is no table ${chart.tableName}`);
    const compile = (where, chart, query) => {
        try {
            return { name: chart.name, type: chart.chartConfig.type, ...compileQuery(query, exploreOf(chart)) };
        } catch (error) {
            return refuse(where, error.message);
        }
    };
    const charts = found.charts.map(({ value }) => [value.slug, compile(value.slug, value, value.metricQuery)]);
    const tiles = found.dashboards.flatMap(({ value: dashboard }) => chartsOfTiles(dashboard, found.charts, (message) => refuse(dashboard.slug, message))
        .map(({ tileSlug, chart }) => {
            const where = `${dashboard.slug}/${tileSlug}`;
            return [where, { chart: chart.slug, ...compile(where, chart, filteredQuery(dashboard, tileSlug, chart, exploreOf(chart))) }];
        }));
    return {
        adapter: manifest.metadata.adapter_type,
        as_of: day,
        tables: Object.fromEntries(explores.map((explore) => [explore.name, describeTable(explore)])),
        charts: Object.fromEntries(charts),
        tiles: Object.fromEntries(tiles),
    };
}

// The chart's query with the filters of the dashboard that reach the tile.
function filteredQuery(dashboard, tileSlug, chart, explore) {
    const rules = (kind) => (dashboard.filters?.[kind] ?? []).map((rule, index) => ({ id: `${kind} ${index}`, ...rule }));
    const filters = { dimensions: rules('dimensions'), metrics: rules('metrics'), tableCalculations: rules('tableCalculations') };
    const fields = lightdash.getFields(explore).map(lightdash.getItemId);
    const reaching = lightdash.getDashboardFiltersForTileAndTables(tileSlug, fields, filters);
    return lightdash.addDashboardFiltersToMetricQuery(chart.metricQuery, reaching, explore);
}

function describeTable(explore) {
    const fields = lightdash.getFields(explore).map((field) => describeField(lightdash.getItemId(field), field));
    return { relation: explore.tables[explore.baseTable].sqlTable, label: explore.label, fields };
}

const { values, positionals } = parseArgs({ options: { 'as-of': { type: 'string' } }, allowPositionals: true });
process.env.TZ = 'UTC';
try {
    stopTheClock(values['as-of']);
    console.log(JSON.stringify(await compileAll(JSON.parse(readFileSync(positionals[0], 'utf8')), values['as-of']), null, 2));
} catch (error) {
    console.error(`lightdash: ${error instanceof Refused ? error.message : error.stack}`);
    process.exitCode = 1;
}
