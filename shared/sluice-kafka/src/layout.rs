//! What the bytes of an Avro record look like: its schema, brought into a form that is walked without looking anything up.
//!
//! A named type is laid out once, however often a schema refers to it, so a layout is no larger than its schema. It knows of
//! each type the least bytes that a value takes, and nests no deeper than the walk may recurse.

use std::collections::HashMap;

use apache_avro::schema::{DecimalSchema, Name, NamesRef, Namespace, RecordSchema, ResolvedSchema, Schema};

/// A schema whose types are nested deeper cannot be used: the walk must not outgrow the stack.
const MOST_DEPTH: usize = 64;

/// A record's fields in the order of their bytes.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub fields: Vec<(String, Shape)>,
    pub named: Vec<Shape>,
}

/// What the bytes of a value look like.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    Uuid,
    Date,
    /// Of this many units a second.
    Time(i64),
    Timestamp {
        unit: Unit,
        zoned: bool,
    },
    /// The symbols, as JSON.
    Enum(Vec<String>),
    Decimal {
        /// `None` where the length stands before the bytes.
        size: Option<usize>,
        scale: usize,
    },
    BigDecimal,
    Bytes,
    Fixed(usize),
    /// A list or a map, and the least that one of its items takes.
    Items {
        item: Box<Shape>,
        keyed: bool,
        least: usize,
    },
    Union(Vec<Shape>),
    /// Without fields that take no bytes.
    Record(Vec<Shape>),
    /// A named type: its place among the layout's.
    Named(usize),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Layout {
    /// The error is the reason why the schema cannot be used.
    pub(crate) fn of_record(schema: &Schema, references: &[Schema]) -> Result<Self, String> {
        let Schema::Record(record) = schema else { return Err("it is not a record".to_owned()) };
        let resolved = ResolvedSchema::try_from(references.iter().chain([schema]).collect::<Vec<_>>())
            .map_err(|error| format!("its named types do not resolve: {error}"))?;
        let mut compiler = Compiler::new(resolved.get_names());
        let name = record.name.fully_qualified_name(&None);
        compiler.places.insert(name.clone(), None);
        let fields = record.fields.iter().map(|field| {
            let compiled = compiler.compile(&field.schema, &name.namespace, 1)?;
            Ok((field.name.clone(), compiled.shape))
        });
        let fields = fields.collect::<Result<_, String>>()?;
        Ok(Layout { fields, named: compiler.named.into_iter().map(|compiled| compiled.shape).collect() })
    }
}

/// The layout of a single value: its shape, and the named types in it.
pub(crate) fn of_value(schema: &Schema) -> Result<(Shape, Vec<Shape>), String> {
    let resolved = ResolvedSchema::try_from(schema).map_err(|error| error.to_string())?;
    let mut compiler = Compiler::new(resolved.get_names());
    let compiled = compiler.compile(schema, &None, 1)?;
    Ok((compiled.shape, compiler.named.into_iter().map(|compiled| compiled.shape).collect()))
}

/// A shape, how deep it nests, and the least bytes that a value of it takes. Of a shape whose least is none no value takes
/// any.
struct Compiled {
    shape: Shape,
    height: usize,
    least: usize,
}

struct Compiler<'a> {
    definitions: &'a NamesRef<'a>,
    named: Vec<Compiled>,
    /// `None` while a type is being compiled.
    places: HashMap<Name, Option<usize>>,
}

impl<'a> Compiler<'a> {
    fn new(definitions: &'a NamesRef<'a>) -> Self {
        Compiler { definitions, named: Vec::new(), places: HashMap::new() }
    }

    fn compile(&mut self, schema: &Schema, namespace: &Namespace, depth: usize) -> Result<Compiled, String> {
        let too_deep = || Err(format!("its types are nested deeper than {MOST_DEPTH}"));
        if depth > MOST_DEPTH {
            return too_deep();
        }
        let (shape, least) = match schema {
            Schema::Null => (Shape::Null, 0),
            Schema::Boolean => (Shape::Boolean, 1),
            Schema::Int => (Shape::Int, 1),
            Schema::Long => (Shape::Long, 1),
            Schema::Float => (Shape::Float, 4),
            Schema::Double => (Shape::Double, 8),
            Schema::Bytes => (Shape::Bytes, 1),
            Schema::String => (Shape::Text, 1),
            Schema::Uuid => (Shape::Uuid, 1),
            Schema::Date => (Shape::Date, 1),
            Schema::TimeMillis => (Shape::Time(1_000), 1),
            Schema::TimeMicros => (Shape::Time(1_000_000), 1),
            Schema::TimestampMillis => (Shape::Timestamp { unit: Unit::Millis, zoned: true }, 1),
            Schema::TimestampMicros => (Shape::Timestamp { unit: Unit::Micros, zoned: true }, 1),
            Schema::TimestampNanos => (Shape::Timestamp { unit: Unit::Nanos, zoned: true }, 1),
            Schema::LocalTimestampMillis => (Shape::Timestamp { unit: Unit::Millis, zoned: false }, 1),
            Schema::LocalTimestampMicros => (Shape::Timestamp { unit: Unit::Micros, zoned: false }, 1),
            Schema::LocalTimestampNanos => (Shape::Timestamp { unit: Unit::Nanos, zoned: false }, 1),
            Schema::Duration => (Shape::Fixed(12), 12),
            Schema::BigDecimal => (Shape::BigDecimal, 1),
            Schema::Decimal(DecimalSchema { inner, scale, .. }) => match &**inner {
                Schema::Fixed(fixed) => (Shape::Decimal { size: Some(fixed.size), scale: *scale }, fixed.size),
                _ => (Shape::Decimal { size: None, scale: *scale }, 1),
            },
            _ => {
                let compiled = self.compile_nested(schema, namespace, depth)?;
                return if depth + compiled.height > MOST_DEPTH { too_deep() } else { Ok(compiled) };
            }
        };
        Ok(Compiled { shape, least, height: 0 })
    }

    fn compile_nested(&mut self, schema: &Schema, namespace: &Namespace, depth: usize) -> Result<Compiled, String> {
        match schema {
            Schema::Array(array) => self.items(&array.items, false, namespace, depth),
            Schema::Map(map) => self.items(&map.types, true, namespace, depth),
            Schema::Union(union) => {
                let variants = union.variants().iter().map(|variant| self.compile(variant, namespace, depth + 1));
                let variants = variants.collect::<Result<Vec<_>, _>>()?;
                let least = variants.iter().map(|variant| variant.least).min().unwrap_or_default();
                let height = 1 + variants.iter().map(|variant| variant.height).max().unwrap_or_default();
                let shapes = variants.into_iter().map(|variant| variant.shape).collect();
                Ok(Compiled { shape: Shape::Union(shapes), least: least.saturating_add(1), height })
            }
            Schema::Record(RecordSchema { name, .. }) => self.named(name, schema, namespace, depth),
            Schema::Enum(definition) => self.named(&definition.name, schema, namespace, depth),
            Schema::Fixed(definition) => self.named(&definition.name, schema, namespace, depth),
            Schema::Ref { name } => {
                let definition = self.definitions.get(&name.fully_qualified_name(namespace)).copied();
                let definition =
                    definition.ok_or_else(|| format!("its type {} is not defined", name.fullname(None)))?;
                self.named(name, definition, namespace, depth)
            }
            _ => Err("it has a type that cannot be read".to_owned()),
        }
    }

    fn items(&mut self, item: &Schema, keyed: bool, namespace: &Namespace, depth: usize) -> Result<Compiled, String> {
        let item = self.compile(item, namespace, depth + 1)?;
        let least = item.least.saturating_add(usize::from(keyed));
        let shape = Shape::Items { item: Box::new(item.shape), keyed, least };
        Ok(Compiled { shape, least: 1, height: 1 + item.height })
    }

    /// A named type is compiled once, however often it is referred to.
    fn named(
        &mut self,
        name: &Name,
        definition: &Schema,
        namespace: &Namespace,
        depth: usize,
    ) -> Result<Compiled, String> {
        let name = name.fully_qualified_name(namespace);
        let place = match self.places.get(&name) {
            Some(Some(place)) => *place,
            Some(None) => return Err(format!("its type {} contains itself", name.fullname(None))),
            None => {
                self.places.insert(name.clone(), None);
                let compiled = self.definition(definition, &name.namespace, depth)?;
                self.named.push(compiled);
                self.places.insert(name, Some(self.named.len() - 1));
                self.named.len() - 1
            }
        };
        let Compiled { height, least, .. } = self.named[place];
        Ok(Compiled { shape: Shape::Named(place), height, least })
    }

    fn definition(&mut self, schema: &Schema, namespace: &Namespace, depth: usize) -> Result<Compiled, String> {
        Ok(match schema {
            Schema::Record(record) => {
                let fields = record.fields.iter().map(|field| self.compile(&field.schema, namespace, depth + 1));
                let fields = fields.collect::<Result<Vec<_>, _>>()?;
                let least = fields.iter().fold(0, |least: usize, field| least.saturating_add(field.least));
                let height = 1 + fields.iter().map(|field| field.height).max().unwrap_or_default();
                let shapes = fields.into_iter().filter(|field| field.least > 0).map(|field| field.shape);
                Compiled { shape: Shape::Record(shapes.collect()), height, least }
            }
            Schema::Enum(definition) => {
                let symbols = definition.symbols.iter().map(|symbol| quoted(symbol));
                Compiled { shape: Shape::Enum(symbols.collect()), height: 0, least: 1 }
            }
            Schema::Fixed(definition) => {
                Compiled { shape: Shape::Fixed(definition.size), height: 0, least: definition.size }
            }
            _ => return Err("it has a type that cannot be read".to_owned()),
        })
    }
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
