// What is checked and compiled: the explores that Lightdash makes of dbt's manifest, and the files of dbt/lightdash.
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { parseDocument } from 'yaml';
import { sqlBuilder } from './warehouse.mjs';

// The package is CommonJS; `require` gives its functions by name.
export const lightdash = createRequire(import.meta.url)('@lightdash/common');

export const CONFIG = 'lightdash.config.yml';

// Every file below dbt/lightdash and Lightdash's own settings, by its path there, as text.
export function readFiles(dbt) {
    const root = join(dbt, 'lightdash');
    const paths = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const files = new Map(paths.map((entry) => join(entry.parentPath ?? entry.path, entry.name)).sort()
        .map((path) => [relative(root, path), readFileSync(path, 'utf8')]));
    return files.set(CONFIG, readFileSync(join(dbt, CONFIG), 'utf8'));
}

// The charts, dashboards and spaces that are well-formed YAML, each with its path; `problem` is told of the others.
export function parseFiles(files, problem) {
    const found = { charts: [], dashboards: [], spaces: [], config: {} };
    for (const [path, text] of files) {
        const document = parseDocument(text, { uniqueKeys: true });
        if (document.errors.length) {
            problem(path, document.errors[0].message.split('\n')[0]);
            continue;
        }
        const value = document.toJS();
        const kind = path.split('/').at(-2);
        if (path === CONFIG) found.config = value;
        else if (kind === 'charts' && path.endsWith('.yml')) found.charts.push({ path, value });
        else if (kind === 'dashboards' && path.endsWith('.yml')) found.dashboards.push({ path, value });
        else if (kind === 'spaces' && path.endsWith('.space.yml')) found.spaces.push({ path, value });
        else problem(path, 'Lightdash does not read this: it wants charts/*.yml, dashboards/*.yml and spaces/*.space.yml');
    }
    return found;
}

// The models that BI may read, as Lightdash takes them from the manifest.
export function reportingModels(manifest) {
    const models = lightdash.getModelsFromManifest(manifest).filter((model) => model.fqn.includes('reporting'));
    return models.map((model) => ({
        ...model,
        columns: Object.fromEntries(Object.entries(model.columns)
            .map(([name, column]) => [name, { ...column, data_type: kindOfType(column.data_type) }])),
    }));
}

export async function compileExplores(manifest, config) {
    const adapter = manifest.metadata.adapter_type;
    return lightdash.convertExplores(reportingModels(manifest), false, adapter, sqlBuilder(adapter), config);
}

// Lightdash asks the warehouse's catalogue for types; the contracts of our views say the same in SQL's words.
function kindOfType(type = '') {
    if (/^date$/i.test(type)) return 'date';
    if (/time/i.test(type)) return 'timestamp';
    if (/bool/i.test(type)) return 'boolean';
    return /int|dec|num|float|double/i.test(type) ? 'number' : 'string';
}
