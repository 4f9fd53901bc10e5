// A fault of each kind is planted in what Lightdash reads, and each has to be found. MANIFEST is a manifest of published names.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { check, DBT } from '../../tools/lightdash/faults.mjs';
import { readFiles } from '../../tools/lightdash/read.mjs';

const MANIFEST = readFileSync(process.env.MANIFEST, 'utf8');
const FILES = readFiles(DBT);

// Exactly the faults that match are found when a file is changed.
function inFile(name, path, old, replacement, expected) {
    test(name, async () => {
        const text = FILES.get(path);
        assert.ok(text?.includes(old), `${path} does not hold ${old}`);
        await finds(JSON.parse(MANIFEST), new Map(FILES).set(path, text.replace(old, replacement)), expected);
    });
}

function inManifest(name, model, change, expected) {
    test(name, async () => {
        const manifest = JSON.parse(MANIFEST);
        change(manifest.nodes[`model.sluice.${model}`], manifest);
        await finds(manifest, FILES, expected);
    });
}

async function finds(manifest, files, expected) {
    const problems = await check(manifest, files);
    assert.ok(problems.some((problem) => expected.test(problem)), `found only: ${problems.join('\n') || 'nothing'}`);
}

// Of a column, where dbt keeps it: in its configuration and, copied, beside it.
const meta = (node, column) => {
    const found = node.columns[column];
    found.meta = found.config.meta;
    return found.config.meta;
};

test('nothing is found where nothing is wrong', async () => {
    assert.deepEqual(await check(JSON.parse(MANIFEST), FILES), []);
});

inManifest('a misspelt key of a metric', 'rpt_sales_by_day', (node) => {
    const metric = meta(node, 'usd').metrics.revenue_usd;
    metric.formt = metric.format;
    delete metric.format;
}, /rpt_sales_by_day\.usd: Lightdash knows no key metrics\.revenue_usd\.formt/);
inManifest('a misspelt key of a dimension', 'rpt_sales_by_day', (node) => {
    meta(node, 'purchase_date').dimension.labl = 'Day';
}, /no key dimension\.labl/);
inManifest('a misspelt key of a model', 'rpt_sales_by_day', (node) => {
    node.config.meta.group = 'sales';
}, /rpt_sales_by_day: Lightdash knows no key group in meta/);
inManifest('everything below a key of another age', 'rpt_sales', (node) => {
    node.config.meta.lightdash = { label: 'Sales' };
}, /no key lightdash/);
inManifest('a metric of a type that there is not', 'rpt_sales', (node) => {
    meta(node, 'total_usd').metrics.revenue_usd.type = 'summ';
}, /rpt_sales.*(summ|type)/);
inManifest('a metric of a column that is not there', 'rpt_sales', (node) => {
    meta(node, 'total_usd').metrics.revenue_usd.sql = '${TABLE}.total_eur';
}, /rpt_sales\.total_usd: there is no column total_eur/);
inManifest('a metric of a field that is not there', 'rpt_sales', (node) => {
    meta(node, 'total_usd').metrics.revenue_per_buyer_usd.sql = '${revenue_usd} / ${byers}';
}, /rpt_sales.*byers/);
inManifest('a metric named like a dimension', 'rpt_sales', (node) => {
    meta(node, 'total_usd').metrics.total_gbp = { type: 'sum', description: 'Twice.' };
}, /rpt_sales.*total_gbp/);
inManifest('a metric that says nothing', 'rpt_sales', (node) => {
    delete meta(node, 'total_usd').metrics.revenue_usd.description;
}, /rpt_sales\.revenue_usd: a metric says/);
inManifest('a group that there is not', 'rpt_sales', (node) => {
    node.config.meta.groups = ['sale'];
}, /rpt_sales: its group sale is not/);
inManifest('a relation that is built aside', 'rpt_sales', (node) => {
    node.schema += '_AUDIT';
}, /rpt_sales: its relation is in ANALYTICS__REPORTING_AUDIT/);
inManifest('a column that was taken away', 'rpt_gbp_exchange_rates', (node) => {
    delete node.columns.is_latest;
}, /gbp-latest-rates\.yml: filters: there is no dimension rpt_gbp_exchange_rates_is_latest/);
inManifest('a dashboard that dbt does not know of', 'rpt_sales', (_, manifest) => {
    delete manifest.exposures['exposure.sluice.sales_dashboard'];
}, /sales\.yml: dbt\/models\/exposures\.yml has no sales_dashboard/);
inManifest('an exposure of another model', 'rpt_sales', (_, manifest) => {
    manifest.exposures['exposure.sluice.products_dashboard'].depends_on.nodes.pop();
}, /products\.yml: the exposure products_dashboard does not depend on just/);

const CHART = 'charts/revenue-by-day.yml';
inFile('a field that there is not', CHART, 'metrics: [rpt_sales_by_day_revenue_usd', 'metrics: [rpt_sales_by_day_revenu_usd', /no metric rpt_sales_by_day_revenu_usd/);
inFile('an interval that there is not', CHART, 'dimensions: [rpt_sales_by_day_purchase_date_day', 'dimensions: [rpt_sales_by_day_purchase_date_hour', /no dimension \w+_hour/);
inFile('a table that there is not', CHART, 'tableName: rpt_sales_by_day', 'tableName: rpt_sales_by_hour', /there is no table rpt_sales_by_hour/);
inFile('a version that there is not', CHART, 'version: 1', 'version: 2', /revenue-by-day\.yml: \/version/);
inFile('an unknown key of a chart', CHART, 'version: 1', 'version: 1\nowner: me', /revenue-by-day\.yml: .*owner/);
inFile('a misspelt key of a query', CHART, '  limit: 1000', '  limit: 1000\n  limt: 5', /no key metricQuery\.limt/);
inFile('a misspelt key of a layout', CHART, 'layout: { xField', 'layout: { xFeild: a, xField', /no key chartConfig\.config\.layout\.xFeild/);
inFile('a key twice', CHART, 'version: 1', 'version: 1\nversion: 1', /revenue-by-day\.yml: Map keys must be unique/);
inFile('a type of chart that there is not', CHART, 'type: cartesian', 'type: cartesan', /no chart of type cartesan/);
inFile('an axis that is not in the query', CHART, 'xField: rpt_sales_by_day_purchase_date_day', 'xField: rpt_sales_by_day_purchase_date_month', /xField: \w+_month is not in the query/);
inFile('a series that is not in the query', CHART, 'yRef: { field: rpt_sales_by_day_revenue_usd', 'yRef: { field: rpt_sales_by_day_purchases', /series: \w+_purchases is not in the query/);
inFile('a sort that is not in the query', CHART, '- { fieldId: rpt_sales_by_day_purchase_date_day', '- { fieldId: rpt_sales_by_day_purchases', /sorts: \w+_purchases is not in the query/);
inFile('a sort that leaves nulls to the warehouse', CHART, ', nullsFirst: false', '', /does not say nullsFirst/);
inFile('a slug that two charts have', CHART, 'slug: revenue-by-day', 'slug: revenue-by-month', /its slug revenue-by-month is that of|the file of revenue-by-month/);
inFile('a space that there is not', CHART, 'spaceSlug: sales', 'spaceSlug: sale', /there is no space sale$/);
inFile('a metric that mixes currencies', 'charts/gbp-rate-range.yml', 'dimensions: [rpt_gbp_exchange_rates_target_currency]', 'dimensions: []', /mixes the values of rpt_gbp_exchange_rates_target_currency/);
inFile('a filter of a field that there is not', 'charts/gbp-rates.yml', 'fieldId: rpt_gbp_exchange_rates_rate_date }', 'fieldId: rpt_gbp_exchange_rates_date }', /filters: there is no dimension rpt_gbp_exchange_rates_date/);
inFile('an operator that there is not', 'charts/gbp-rates.yml', 'operator: inThePast', 'operator: inPast', /gbp-rates\.yml: .*operator/);
inFile('a setting of a filter that there is not', 'charts/gbp-rates.yml', 'completed: false', 'complete: false', /no setting complete/);

const DASHBOARD = 'dashboards/sales.yml';
inFile('a chart that there is not', DASHBOARD, 'chartSlug: revenue-usd', 'chartSlug: revenue-eur', /sales\.yml: there is no chart revenue-eur/);
inFile('a chart that nobody sees', DASHBOARD, 'chartSlug: revenue-usd', 'chartSlug: revenue-gbp', /charts\/revenue-usd\.yml: no dashboard shows it/);
inFile('a filter on a field that there is not', DASHBOARD, 'fieldId: rpt_sales_by_day_purchase_date,', 'fieldId: rpt_sales_by_day_date,', /filters: there is no dimension rpt_sales_by_day_date/);
inFile('a filter on a table that there is not', DASHBOARD, 'tableName: rpt_sales_by_day }', 'tableName: rpt_sales_by_hour }', /no dimension rpt_sales_by_day_purchase_date in rpt_sales_by_hour/);
inFile('a filter aimed at a tile that there is not', DASHBOARD, '{ last-sale-date: false }', '{ last-sale: false }', /aimed at a tile last-sale that is not there/);
inFile('a filter aimed at a field that there is not', DASHBOARD, '{ last-sale-date: false }', '{ sales-left-out: { fieldId: rpt_sales_date, tableName: rpt_sales } }', /no dimension rpt_sales_date in the table of tile sales-left-out/);
inFile('a filter that takes the place of a chart\'s own', 'dashboards/exchange-rates.yml', 'tabs: []', 'tabs: []\nfilters: { dimensions: [{ target: { fieldId: rpt_gbp_exchange_rates_target_currency, tableName: rpt_gbp_exchange_rates }, operator: equals, values: [USD] }] }', /replaces the rule that the chart of tile gbp-rates has on it/);
inFile('a filter of metrics', DASHBOARD, 'metrics: []', 'metrics: [{ id: a, target: { fieldId: rpt_sales_by_day_purchases, tableName: rpt_sales_by_day }, operator: equals, values: [1] }]', /metrics are not used/);
inFile('a tile on a tile', DASHBOARD, 'x: 7, y: 2', 'x: 5, y: 2', /tiles\[2\] lies on tiles\[1\]/);
inFile('a tile beyond the edge', DASHBOARD, 'x: 29, y: 2, w: 7', 'x: 30, y: 2, w: 7', /is wider than the 36 columns/);
inFile('a tile of a tab that there is not', DASHBOARD, 'tileSlug: revenue-usd', 'tabSlug: first, tileSlug: revenue-usd', /there is no tab first/);
inFile('a tile without a slug of its own', DASHBOARD, 'tileSlug: revenue-gbp', 'tileSlug: revenue-usd', /needs a tileSlug of its own/);
inFile('a misspelt key of a tile', DASHBOARD, '{ chartSlug: revenue-usd', '{ titel: x, chartSlug: revenue-usd', /sales\.yml: .*(titel|must NOT have additional)/);
inFile('a misspelt key of a space', 'spaces/sales.space.yml', 'spaceName: Sales', 'spaceName: Sales\nacces: {}', /no key acces/);
inFile('a misspelt key of the settings', 'lightdash.config.yml', 'table_groups:', 'table_group:', /no key table_group|its group sales is not/);

test('a file that Lightdash does not read', async () => {
    await finds(JSON.parse(MANIFEST), new Map(FILES).set('charts/revenue.yaml', FILES.get(CHART)), /charts\/revenue\.yaml: Lightdash does not read this/);
});
