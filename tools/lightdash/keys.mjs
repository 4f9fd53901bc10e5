// Keys that a schema does not know. Lightdash's schemas let most of them through, so that a misspelt one does nothing.

// The paths of unknown keys in a value, by a JSON schema of draft 7 and the document that its references point into.
export function* unknownKeys(value, schema, root, path = '') {
    if (Array.isArray(value)) {
        const items = variants(schema, root, value).flatMap((variant) => variant.items ?? []);
        for (const [index, item] of value.entries()) {
            if (items.length) yield* unknownKeys(item, { anyOf: items }, root, `${path}[${index}]`);
        }
        return;
    }
    if (value === null || typeof value !== 'object') return;
    const open = variants(schema, root, value);
    if (!open.some((variant) => variant.properties || variant.patternProperties || isSchema(variant.additionalProperties))) return;
    for (const [key, inner] of Object.entries(value)) {
        const place = path ? `${path}.${key}` : key;
        const known = open.flatMap((variant) => schemasOf(key, variant));
        if (!known.length) yield place;
        else yield* unknownKeys(inner, { anyOf: known }, root, place);
    }
}

function schemasOf(key, { properties = {}, patternProperties = {}, additionalProperties }) {
    if (Object.hasOwn(properties, key)) return [properties[key]];
    const patterns = Object.entries(patternProperties).filter(([pattern]) => new RegExp(pattern).test(key)).map(([, inner]) => inner);
    return patterns.length || !isSchema(additionalProperties) ? patterns : [additionalProperties];
}

const isSchema = (schema) => schema !== null && typeof schema === 'object';

// The plain schemas that a value may follow: references resolved, alternatives told apart by what their constants say.
function variants(schema, root, value) {
    if (!isSchema(schema)) return [];
    if (schema.$ref) return variants(resolve(schema.$ref, root), root, value);
    const parts = [...(schema.allOf ?? []), ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
    const { allOf, anyOf, oneOf, ...plain } = schema;
    return [plain, ...parts.flatMap((part) => variants(part, root, value))].filter((variant) => mayFollow(variant, root, value));
}

function mayFollow({ properties = {} }, root, value) {
    return Object.entries(properties).every(([key, inner]) => {
        const constant = isSchema(inner) && inner.$ref ? resolve(inner.$ref, root) : inner;
        const allowed = constant.enum ?? (Object.hasOwn(constant, 'const') ? [constant.const] : undefined);
        return key !== 'type' || !allowed || !Object.hasOwn(value, key) || allowed.includes(value[key]);
    });
}

function resolve(reference, root) {
    return reference.replace(/^#\//, '').split('/').reduce((node, name) => node[name.replaceAll('~1', '/')], root);
}
