// Checks of what dbt's YAML says to Lightdash.
import { unknownKeys } from './keys.mjs';
import { lightdash, reportingModels } from './read.mjs';

// Keys of `meta` that are ours, which Lightdash leaves alone, and those that it reads although its schema lacks them.
const BESIDES_THE_SCHEMA = { modelMeta: /^(owner|label)$/, columnMeta: /^(pii|metrics\.\w+\.filters)$/ };

export function checkModels(manifest, explores, config, problem) {
    const validator = new lightdash.ManifestValidator(lightdash.getDbtManifestVersion(manifest));
    for (const model of reportingModels(manifest)) {
        const [valid, reason] = validator.isModelValid(model);
        if (!valid) problem(model.name, reason);
        const meta = model.config?.meta ?? {};
        checkKeys(model.name, meta, 'modelMeta', problem);
        if (!meta.label) problem(model.name, 'has no label for readers');
        for (const group of meta.groups ?? []) {
            if (!config.table_groups?.[group]) problem(model.name, `its group ${group} is not in lightdash.config.yml`);
        }
        checkRelation(manifest, model, problem);
        checkFields(model.name, meta, model, problem);
        for (const column of Object.values(model.columns)) {
            const where = `${model.name}.${column.name}`;
            checkKeys(where, column.config?.meta ?? {}, 'columnMeta', problem);
            checkFields(where, column.config?.meta ?? {}, model, problem);
        }
    }
    for (const explore of explores) checkExplore(explore, problem);
}

function checkKeys(where, meta, definition, problem) {
    const root = lightdash.lightdashDbtYamlSchema;
    for (const key of unknownKeys(meta, root.$defs[definition], root)) {
        if (!BESIDES_THE_SCHEMA[definition].test(key)) problem(where, `Lightdash knows no key ${key} in meta`);
    }
}

// BI has rights in REPORTING only; a manifest of relations that are built aside would lead it elsewhere.
function checkRelation(manifest, model, problem) {
    const schema = manifest.metadata.adapter_type === 'duckdb' ? 'ANALYTICS__REPORTING' : 'REPORTING';
    if (model.schema.toUpperCase() !== schema) {
        problem(model.name, `its relation is in ${model.schema}, not in ${schema}: make the manifest with DBT_SLUICE_RELATIONS=published`);
    }
}

function checkFields(where, { dimension = {}, additional_dimensions: additional = {}, metrics = {} }, model, problem) {
    for (const { sql = '' } of [dimension, ...Object.values(additional), ...Object.values(metrics)]) {
        // It is taken as it is: a column that is not there would show only when a query runs.
        for (const [, column] of sql.matchAll(/\$\{TABLE\}\.("?\w+"?)/g)) {
            if (!Object.hasOwn(model.columns, column)) problem(where, `there is no column ${column} in ${model.name}`);
        }
    }
    for (const [name, metric] of Object.entries(metrics)) {
        if (!metric.description) problem(`${model.name}.${name}`, 'a metric says in its description what it counts');
    }
}

function checkExplore(explore, problem) {
    if (lightdash.isExploreError(explore)) {
        for (const { message } of explore.errors) problem(explore.name, message);
        return;
    }
    for (const { message } of explore.warnings ?? []) problem(explore.name, message);
}
