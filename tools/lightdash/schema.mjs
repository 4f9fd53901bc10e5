// Validation by a JSON schema of draft 7, with errors that lead to the fault.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const ajv = new (require('ajv').default)({ strict: false, allErrors: true, logger: false });
require('ajv-formats')(ajv);

// The schemas are large: one is compiled once.
const compiled = new Map();

// At most three faults of a value, the deepest first: of alternatives, the one that was meant is followed furthest.
export function validate(schema, value) {
    if (!compiled.has(schema)) {
        const { $id, ...anonymous } = schema;
        compiled.set(schema, ajv.compile(anonymous));
    }
    const judge = compiled.get(schema);
    if (judge(value)) return [];
    const depth = (error) => error.instancePath.split('/').length;
    return judge.errors.toSorted((one, other) => depth(other) - depth(one)).slice(0, 3).map((error) => {
        const detail = Object.values(error.params ?? {}).filter((part) => typeof part === 'string').join(' ');
        return `${error.instancePath || 'the file'} ${error.message} ${detail}`.trim();
    });
}

const narrowed = new Map();

// The schema with one alternative of a property, that of the type; without it every alternative reports its own errors.
export function branchOf(schema, property, type) {
    const name = `${schema.$id} ${property} ${type}`;
    if (!narrowed.has(name)) {
        const branch = schema.properties[property].oneOf.find((option) => option.properties.type.const === type);
        narrowed.set(name, branch && { ...schema, properties: { ...schema.properties, [property]: branch } });
    }
    return narrowed.get(name);
}
