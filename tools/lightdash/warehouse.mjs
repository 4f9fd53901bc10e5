// What Lightdash's own SQL builders of the two warehouses give; its package for them brings every warehouse's driver.
const AGGREGATES = { average: 'AVG', count: 'COUNT', max: 'MAX', min: 'MIN', sum: 'SUM' };

export function escapeString(adapter) {
    // In Snowflake a backslash begins an escape.
    return (value) => (adapter === 'snowflake' ? String(value).replaceAll('\\', '\\\\') : String(value)).replaceAll("'", "''");
}

export function sqlBuilder(adapter) {
    const equal = (left, right) => `(${left} = ${right} OR (${left} IS NULL AND ${right} IS NULL))`;
    const cast = (type) => (date) => `CAST('${date.toISOString()}' AS ${type})`;
    return {
        getStartOfWeek: () => 0,
        getAdapterType: () => adapter,
        supportsCteMaterialization: () => true,
        getStringQuoteChar: () => "'",
        getEscapeStringQuoteChar: () => '\\',
        getFieldQuoteChar: () => '"',
        getFloatingType: () => (adapter === 'duckdb' ? 'DOUBLE' : 'FLOAT'),
        getNullSafeEqualSql: equal,
        getNullSafeEqualJoinSql: equal,
        getMetricSql: (sql, metric) => metricSql(adapter, sql, metric),
        concatString: (...parts) => `(${parts.join(' || ')})`,
        escapeString: escapeString(adapter),
        castToTimestamp: cast('TIMESTAMP'),
        castToNaiveTimestamp: cast('TIMESTAMP'),
        castToDate: (date) => `CAST('${date.toISOString().slice(0, 10)}' AS DATE)`,
        getIntervalSql: (value, unit) => `INTERVAL '${value} ${unit}'`,
    };
}

function metricSql(adapter, sql, metric) {
    const percentile = (share) => (adapter === 'duckdb'
        ? `QUANTILE_CONT(${sql}, ${share})` : `PERCENTILE_CONT(${share}) WITHIN GROUP (ORDER BY ${sql})`);
    if (metric.type === 'count_distinct') return `COUNT(DISTINCT ${sql})`;
    if (metric.type === 'percentile') return percentile((metric.percentile ?? 50) / 100);
    if (metric.type === 'median') return adapter === 'duckdb' ? `MEDIAN(${sql})` : percentile(0.5);
    return metric.type in AGGREGATES ? `${AGGREGATES[metric.type]}(${sql})` : sql;
}
