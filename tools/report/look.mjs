#!/usr/bin/env node
// Opens the report's page in a browser as people do, at three sizes and in both colours, and prints as JSON what it has found:
//
//   tools/report/look.mjs <index.html> [folder for pictures]      CHROMIUM is the browser
//
//   bytes, tiles, charts, first_paint_ms (the slowest size), drawn_ms, violations of the policy, requests, errors, serious_findings of axe,
//   rows: the table of each tile, as the values that the page shows
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import puppeteer from 'puppeteer-core';

const SIZES = [
    { name: 'desktop', width: 1440, height: 900 },
    { name: 'tablet', width: 820, height: 1180 },
    { name: 'phone', width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
];
// The browser's own calls home would not resolve if there were any.
const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run', '--host-resolver-rules=MAP * ~NOTFOUND'];
const SERIOUS = ['serious', 'critical'];

const [file, pictures] = process.argv.slice(2).map((path) => resolve(path));
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
if (pictures) mkdirSync(pictures, { recursive: true });
const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM, args: ARGUMENTS });
const found = { bytes: statSync(file).size, first_paint_ms: 0, drawn_ms: 0, violations: [], requests: [], errors: [], serious_findings: [] };
try {
    for (const size of SIZES) {
        for (const scheme of ['light', 'dark']) await look(size, scheme);
    }
} finally {
    await browser.close();
}
console.log(JSON.stringify(found));

async function look({ name, ...size }, scheme) {
    const page = await browser.newPage();
    const where = `${name}, ${scheme}`;
    await page.setViewport(size);
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    page.on('pageerror', (error) => found.errors.push(`${where}: ${error.message}`));
    page.on('request', (request) => { if (!/^(file|blob|data):/.test(request.url())) found.requests.push(request.url()); });
    await page.evaluateOnNewDocument(() => {
        globalThis.violations = [];
        document.addEventListener('securitypolicyviolation', (event) => globalThis.violations.push(`${event.violatedDirective} ${event.sourceFile}`));
    });
    await page.goto(`file://${file}`);
    await page.waitForFunction(() => document.documentElement.dataset.ready, { timeout: 20000 });
    const times = await page.evaluate(() => ({
        paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
        drawn: Number(document.documentElement.dataset.ready),
        wide: document.documentElement.scrollWidth - innerWidth,
    }));
    found.first_paint_ms = Math.max(found.first_paint_ms, Math.round(times.paint));
    found.drawn_ms = Math.max(found.drawn_ms, times.drawn);
    if (times.wide > 0) found.errors.push(`${where}: the page is ${times.wide} pixels wider than the screen`);
    if (pictures) await page.screenshot({ path: `${pictures}/${name}-${scheme}.png`, fullPage: true });
    await hover(page);
    // What axe brings is no script of the page: it comes in beside the policy.
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => axe.run({ resultTypes: ['violations'] }));
    for (const { id, impact, help, nodes } of violations.filter((violation) => SERIOUS.includes(violation.impact))) {
        found.serious_findings.push(`${where}: ${id} (${impact}): ${help}: ${nodes.map((node) => node.target.join(' ')).slice(0, 3).join('; ')}`);
    }
    found.violations.push(...(await page.evaluate(() => globalThis.violations)).map((text) => `${where}: ${text}`));
    if (!found.rows) Object.assign(found, await content(page));
    await page.close();
}

// A tooltip on every chart: that is where policies are broken.
async function hover(page) {
    for (const box of await page.$$('.drawing')) {
        await box.scrollIntoView();
        const { x, y, width, height } = await box.boundingBox();
        for (const part of [0.3, 0.5, 0.7]) await page.mouse.move(x + width * part, y + height * 0.55);
        if (!(await box.$('svg'))) found.errors.push('a chart is not drawn');
    }
}

function content(page) {
    return page.evaluate(() => {
        const tiles = [...document.querySelectorAll('article.tile')];
        const value = (cell) => (cell.classList.contains('none') ? null : cell.dataset.v ?? cell.textContent);
        const rows = tiles.map((tile) => [tile.id, [...tile.querySelectorAll('tbody tr')].map((row) => [...row.cells].map(value))]);
        return { tiles: tiles.length, charts: document.querySelectorAll('.drawing svg').length, rows: Object.fromEntries(rows) };
    });
}
