// The page's own CSV, made by page.js as it is shipped when its button is pressed. What a browser would bring is here as far as
// the script asks for it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createContext, runInContext } from 'node:vm';

const SCRIPT = readFileSync(new URL('../../functions/publish-report/page/page.js', import.meta.url), 'utf8');

const classes = (...names) => ({ contains: (name) => names.includes(name), add() {} });
const head = (label, ...names) => ({ textContent: label, classList: classes(...names) });
// As page/mod.rs writes a cell: its value beside what is read, where they differ; `null` is the word none with a class.
const cell = (value, text = value) => ({
    textContent: value === null ? 'none' : text,
    classList: classes(...(value === null ? ['none'] : [])),
    dataset: value === text ? {} : { v: value },
});

// The file that a press on the button of a tile with this table brings: its name and its text.
async function pressed(name, heads, rows) {
    const table = { tHead: { rows: [{ cells: heads }] }, tBodies: [{ rows: rows.map((cells) => ({ cells })) }] };
    const tile = { querySelector: () => table };
    const button = { dataset: { name }, closest: () => tile };
    const link = { click() {} };
    const brought = [];
    const listeners = {};
    const listening = { matches: false, addEventListener() {} };
    const document = {
        documentElement: { classList: classes(), dataset: {} },
        addEventListener: (what, listener) => (listeners[what] = listener),
        querySelectorAll: () => [],
        createElement: () => link,
    };
    const URL = { createObjectURL: (blob) => brought.push(blob), revokeObjectURL() {} };
    const page = { document, URL, Blob, matchMedia: () => listening, addEventListener() {}, requestAnimationFrame() {}, setTimeout() {} };
    runInContext(SCRIPT, createContext(page));
    listeners.click({ target: { closest: (selector) => (selector === '.csv' ? button : null) } });
    assert.equal(brought.length, 1);
    // Blob.text() would leave out the mark at the beginning.
    return { file: link.download, csv: Buffer.from(await brought[0].arrayBuffer()).toString('utf8') };
}

const of = async (heads, ...rows) => (await pressed('sales-top', heads, rows)).csv;

test('a press brings a file of the tile\'s name that a spreadsheet reads as UTF-8', async () => {
    const { file, csv } = await pressed('sales-top', [head('Größe')], []);
    assert.deepEqual([file, csv], ['sales-top.csv', '\ufeff"Größe"\r\n']);
});

test('quotes, commas and line ends stay in their field', async () => {
    assert.equal(await of([head('a "b"'), head('c,d')], [cell('x"y"'), cell('1,2')], [cell('two\nlines'), cell('')]), '\ufeff"a ""b""","c,d"\r\n"x""y""","1,2"\r\n"two\nlines",""\r\n');
});

test('no text begins a formula', async () => {
    for (const text of ['=1+1', '+1', '-x', '@A1', '\tx', '\rx']) {
        assert.equal(await of([head(text)], [cell(text)]), `\ufeff"'${text}"\r\n"'${text}"\r\n`);
    }
});

test('a number keeps the digits of the warehouse and a NULL is empty', async () => {
    const heads = [head('Pounds', 'right'), head('Name')];
    assert.equal(await of(heads, [cell('-5.20', '−£5.20'), cell('7')], [cell(null), cell(null)]), '\ufeff"Pounds","Name"\r\n-5.20,"7"\r\n,\r\n');
});

// As functions/publish-report/src/report/csv.rs does it: `what_is_no_number_is_quoted_in_a_column_of_numbers`.
test('what is no number is quoted in a column of numbers', async () => {
    for (const [text, field] of [['12,345', '"12,345"'], ['=1+1', '"\'=1+1"'], ['+1', '"\'+1"'], ['NaN', '"NaN"'], ['1 of 2', '"1 of 2"'], ['-5.20', '-5.20'], ['1.5e3', '1.5e3']]) {
        assert.equal(await of([head('n', 'right')], [cell(text)]), `\ufeff"n"\r\n${field}\r\n`);
    }
});
