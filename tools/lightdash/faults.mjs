// Every fault of what Lightdash reads.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkCharts } from './charts.mjs';
import { checkDashboards } from './dashboards.mjs';
import { unknownKeys } from './keys.mjs';
import { checkModels } from './models.mjs';
import { CONFIG, compileExplores, lightdash, parseFiles } from './read.mjs';
import { validate } from './schema.mjs';

export const DBT = join(dirname(fileURLToPath(import.meta.url)), '../../dbt');

// Every fault, as text that begins with the file or the model.
export async function check(manifest, files) {
    const problems = [];
    const problem = (where, message) => problems.push(`${where}: ${message}`);
    const found = parseFiles(files, problem);
    const config = checkConfig(found.config, problem);
    const explores = await compileExplores(manifest, config);
    checkModels(manifest, explores, config, problem);
    checkSpaces(found.spaces, problem);
    checkCharts(found.charts, found.spaces, explores, problem);
    checkDashboards(found, manifest, explores, problem);
    return problems;
}

function checkConfig(config, problem) {
    const root = lightdash.lightdashProjectConfigSchema;
    for (const fault of validate(root, config)) problem(CONFIG, fault);
    for (const key of unknownKeys(config, root, root)) problem(CONFIG, `Lightdash knows no key ${key}`);
    return { ...config, spotlight: config?.spotlight ?? { default_visibility: 'hide' } };
}

// The package has no schema for spaces.
function checkSpaces(spaces, problem) {
    const allowed = ['contentType', 'version', 'spaceName', 'slug', 'access'];
    for (const { path, value } of spaces) {
        for (const key of Object.keys(value ?? {})) {
            if (!allowed.includes(key)) problem(path, `Lightdash knows no key ${key}`);
        }
        if (!value?.spaceName || !value?.slug) problem(path, 'a space has a spaceName and a slug');
        else if (!path.endsWith(`spaces/${value.slug}.space.yml`)) problem(path, `the file of ${value.slug} is spaces/${value.slug}.space.yml`);
    }
}
