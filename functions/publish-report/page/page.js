// Draws the charts of the tables that stand in the page, and makes CSV of them. Nothing is asked of anybody.
'use strict';
(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const narrow = matchMedia('(max-width: 38rem)');
    // One colour for a currency, whichever chart it is in; other names take theirs by the order of their first appearance.
    const BY_NAME = { USD: 0, GBP: 1, EUR: 2, CHF: 3, JPY: 4, AUD: 5, CAD: 6, NZD: 7, SEK: 8 };
    const LIGHT = ['#1f6f94', '#b5562f', '#2e7d4f', '#7a4fa3', '#a8324a', '#8a6d00', '#00787a', '#5a6b7b', '#b0447f'];
    const DARK = ['#6fb8da', '#f0a07c', '#7fcf9f', '#c3a2ea', '#f28da0', '#e0c25a', '#5fcfd0', '#a9b8c6', '#ee9cca'];
    // What chart files name for a light page.
    const LIGHTER = { '#2f6f8f': DARK[0], '#b5562f': DARK[1] };

    const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const tableOf = (tile) => tile.querySelector('table');
    const valueOf = (cell) => (cell.classList.contains('none') ? null : cell.dataset.v ?? cell.textContent);

    function read(table) {
        const labels = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
        const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => ({ value: valueOf(cell), text: cell.textContent })));
        return { labels, rows };
    }

    // ---- Charts

    function colorOf(name, place, named) {
        const palette = dark.matches ? DARK : LIGHT;
        if (named) return dark.matches ? LIGHTER[named.toLowerCase()] ?? named : named;
        return palette[(BY_NAME[name] ?? place) % palette.length];
    }

    // Numbers on an axis: short, with the currency or the percent of the chart's format.
    function axisText(format) {
        const sign = /^\[\$(.+?)\]/.exec(format ?? '')?.[1] ?? '';
        const percent = /%$/.test(format ?? '');
        const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 2 });
        return (value) => {
            const text = short.format(percent ? value * 100 : value);
            return percent ? `${text} %` : text.replace(/^-?/, (minus) => minus + sign);
        };
    }

    // Texts are drawn, never parsed as HTML; style is given to them by names.
    function tooltip(trigger, formatter) {
        return {
            trigger, formatter, renderMode: 'richText', confine: true, axisPointer: { type: 'line', lineStyle: { color: ink('--soft') } },
            backgroundColor: ink('--card'), borderColor: ink('--line'), textStyle: { color: ink('--ink'), fontSize: 13 }, padding: [8, 12],
        };
    }

    const plain = (text) => String(text).replace(/[{}|]/g, ' ');

    function base(title, words) {
        return {
            animation: false,
            textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: ink('--ink') },
            aria: { enabled: true, label: { enabled: true, description: words } },
        };
    }

    function cartesian(spec, { labels, rows }, title) {
        const categories = [...new Set(rows.map((row) => row[spec.x].text))];
        const place = new Map(categories.map((text, index) => [text, index]));
        const values = (chosen, column) => {
            const data = categories.map(() => null);
            for (const row of chosen) {
                const { value, text } = row[column];
                data[place.get(row[spec.x].text)] = value === null ? null : { value: Number(value), text };
            }
            return data;
        };
        const drawn = spec.series.flatMap((series) => {
            if (spec.pivot === undefined) return [{ ...series, data: values(rows, series.column) }];
            const names = [...new Set(rows.map((row) => row[spec.pivot].text))];
            return names.map((name) => ({ ...series, name, data: values(rows.filter((row) => row[spec.pivot].text === name), series.column) }));
        });
        const dots = categories.length < 30;
        const many = drawn.length > 1;
        const ends = many && spec.pivot !== undefined;
        const format = axisText(spec.format);
        const legend = many && !ends;
        const soft = ink('--soft');
        const category = {
            type: 'category', data: categories, axisLine: { lineStyle: { color: ink('--line') } }, axisTick: { show: false },
            axisLabel: { color: soft, hideOverlap: true, fontSize: 12, width: spec.flipped ? 110 : undefined, overflow: spec.flipped ? 'truncate' : undefined },
            inverse: Boolean(spec.flipped),
        };
        const value = {
            type: 'value', scale: drawn.every((series) => series.line) && spec.pivot !== undefined, axisLabel: { color: soft, fontSize: 12, formatter: format },
            splitLine: { lineStyle: { color: ink('--line') } }, splitNumber: narrow.matches ? 3 : 5,
        };
        return {
            ...base(title, sentence(title, drawn, categories)),
            grid: { left: 4, right: ends ? 40 : dots ? 14 : 36, top: legend ? 34 : 12, bottom: 4, containLabel: true, outerBoundsMode: 'same', outerBoundsContain: 'axisLabel' },
            legend: { show: legend, top: 0, left: 4, icon: 'roundRect', itemWidth: 12, itemHeight: 12, textStyle: { color: ink('--ink'), fontSize: 12 }, selectedMode: false },
            tooltip: tooltip('axis', (points) => [plain(points[0].axisValue), ...points.map((point) => `${plain(point.seriesName)}   ${plain(point.data?.text ?? 'none')}`)].join('\n')),
            xAxis: spec.flipped ? value : category,
            yAxis: spec.flipped ? category : value,
            series: drawn.map((series, index) => {
                const color = colorOf(series.name, index, series.color);
                return {
                    type: series.line ? 'line' : 'bar', name: series.name, data: series.data, stack: series.stack, color,
                    showSymbol: series.line && dots, symbolSize: 5, lineStyle: { width: 2 }, barMaxWidth: 44,
                    itemStyle: series.line ? {} : { borderRadius: spec.flipped ? [0, 3, 3, 0] : [3, 3, 0, 0] },
                    endLabel: { show: ends, formatter: plain(series.name), color, fontSize: 12, fontWeight: 600 }, connectNulls: false, labelLayout: { moveOverlap: 'shiftY' },
                    emphasis: { disabled: true },
                };
            }),
        };
    }

    function pie(spec, { labels, rows }, title) {
        const total = rows.reduce((sum, row) => sum + Number(row[spec.value].value ?? 0), 0);
        const data = rows.map((row, index) => ({
            name: row[spec.group].text, value: Number(row[spec.value].value ?? 0), text: row[spec.value].text,
            itemStyle: { color: colorOf(row[spec.group].text, index), borderColor: ink('--card'), borderWidth: 2 },
        }));
        const share = (value) => `${total ? Math.round((value / total) * 100) : 0} %`;
        const words = `${title}. ${data.slice(0, 8).map(({ name, text, value }) => `${name}: ${text}, ${share(value)}`).join('; ')}.`;
        return {
            ...base(title, words),
            tooltip: tooltip('item', (point) => `${plain(point.name)}\n${plain(point.data.text)}   ${share(point.data.value)}`),
            series: [{
                type: 'pie', radius: ['46%', '74%'], center: ['50%', '50%'], data, emphasis: { disabled: true },
                label: { color: ink('--ink'), fontSize: 12, lineHeight: 16, formatter: (point) => `${plain(point.name)}\n${plain(point.data.text)}, ${share(point.data.value)}`, width: narrow.matches ? 84 : 130, overflow: 'truncate' },
                labelLine: { lineStyle: { color: ink('--line') } },
            }],
        };
    }

    // For those who do not see the drawing; the table behind it has every value.
    function sentence(title, drawn, categories) {
        const of = ({ name, data }) => {
            const found = data.map((item, index) => [item, categories[index]]).filter(([item]) => item);
            if (!found.length) return `${name} has no values`;
            const [low, high] = [Math.min, Math.max].map((pick) => found.find(([item]) => item.value === pick(...found.map(([other]) => other.value))));
            return `${name} from ${low[0].text} (${low[1]}) to ${high[0].text} (${high[1]})`;
        };
        return `${title}: ${categories.length} points from ${categories[0]} to ${categories.at(-1)}. ${drawn.slice(0, 8).map(of).join('; ')}. The table behind the chart has every value.`;
    }

    const charts = [];

    // Before anything is drawn: a drawing has the height that its tile has in the end.
    function setHeights(boxes) {
        for (const box of boxes) {
            if (tableOf(box.closest('article')).tBodies[0].rows.length <= 12 && !box.dataset.chart.includes('"pie"')) box.classList.add('low');
        }
        return boxes;
    }

    function draw(box) {
        const tile = box.closest('article');
        const data = read(tableOf(tile));
        if (!data.rows.length) {
            box.remove();
            return;
        }
        const spec = JSON.parse(box.dataset.chart);
        const title = tile.querySelector('h3').textContent;
        const option = () => (spec.kind === 'pie' ? pie : cartesian)(spec, data, title);
        const chart = echarts.init(box, null, { renderer: 'svg' });
        chart.setOption(option());
        charts.push({ box, chart, option });
    }

    // What is below the screen is drawn when the page has been painted: the first sight is not kept waiting.
    function drawAll(boxes) {
        const [box, ...rest] = boxes;
        if (!box) {
            fit();
            document.documentElement.dataset.ready = String(Math.round(performance.now()));
            return;
        }
        draw(box);
        setTimeout(() => drawAll(rest), 0);
    }

    function redraw() {
        for (const { chart, option } of charts) chart.setOption(option(), { notMerge: true });
    }

    function fit() {
        for (const { chart } of charts) chart.resize();
    }

    // ---- CSV

    // RFC 4180. Everything that is no number is quoted, and a text that a spreadsheet would take for a formula gets an apostrophe;
    // a value that is none is empty.
    function csvOf(table) {
        const isNumber = (text) => /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
        const quoted = (text) => `"${/^[=+\-@\t\r]/.test(text) ? "'" : ''}${text.replaceAll('"', '""')}"`;
        const heads = [...table.tHead.rows[0].cells];
        const lines = [heads.map((cell) => quoted(cell.textContent))];
        for (const row of table.tBodies[0].rows) {
            lines.push([...row.cells].map((cell, index) => {
                const value = valueOf(cell);
                if (value === null) return '';
                return heads[index].classList.contains('right') && isNumber(value) ? value : quoted(value);
            }));
        }
        return `\ufeff${lines.map((line) => line.join(',')).join('\r\n')}\r\n`;
    }

    function download(button) {
        const address = URL.createObjectURL(new Blob([csvOf(tableOf(button.closest('article')))], { type: 'text/csv;charset=utf-8' }));
        const link = document.createElement('a');
        link.href = address;
        link.download = `${button.dataset.name}.csv`;
        link.click();
        setTimeout(() => URL.revokeObjectURL(address), 1000);
    }

    document.documentElement.classList.add('drawn');
    document.addEventListener('click', (event) => {
        const button = event.target.closest('.csv');
        if (button) download(button);
    });
    dark.addEventListener('change', redraw);
    narrow.addEventListener('change', redraw);
    addEventListener('resize', fit);
    addEventListener('beforeprint', fit);
    requestAnimationFrame(() => setTimeout(() => drawAll(setHeights([...document.querySelectorAll('.drawing')])), 0));
})();
