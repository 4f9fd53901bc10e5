#!/usr/bin/env node
// Checks what Lightdash reads: dbt's YAML as it is in a manifest of published names, and the files of dbt/lightdash.
//
//   tools/lightdash/check.mjs <manifest.json> ...       each fault on a line; the status is 1 if there is one
import { readFileSync } from 'node:fs';
import { check, DBT } from './faults.mjs';
import { readFiles } from './read.mjs';

const files = readFiles(DBT);
const paths = process.argv.slice(2);
if (!paths.length) {
    console.error('check: name the manifests, which `tools/lightdash/run` makes');
    process.exitCode = 2;
}
for (const path of paths) {
    const manifest = JSON.parse(readFileSync(path, 'utf8'));
    const problems = await check(manifest, files);
    for (const text of problems) console.log(`lightdash, ${manifest.metadata.adapter_type}: ${text}`);
    if (problems.length) process.exitCode = 1;
}
