//! Which PostgreSQL type becomes which contract type, and how its bytes are read.

use sluice_core::{Column, ColumnType, Error, Kind, Result};
use tokio_postgres::types::{Kind as TypeKind, Type};

use crate::identifier::identifier;

/// How a value travels in binary `COPY`, and what it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Int2,
    Int4,
    Int8,
    /// An integer into a decimal column, at this scale.
    IntegerDecimal(Integer, i8),
    Text,
    /// Exact, at this scale.
    Numeric(i8),
    Float4(i8),
    Float8(i8),
    Timestamp,
    Date,
    Boolean,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Integer {
    Two,
    Four,
    Eight,
}

/// One column of the read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub name: String,
    /// What the source calls it.
    source: String,
    pub column_type: ColumnType,
    pub wire: Wire,
    /// What the server turns the value into before it sends it.
    cast: Option<&'static str>,
    measure: Option<Measure>,
}

/// How the server tells the length of what it would send of a value, without making it where it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// Texts: their bytes.
    Text,
    /// In hexadecimal, with a sign for it before.
    Bytes,
    /// A character for each bit.
    Bits,
    /// Whatever else has no bound: the text itself has to be made, but for what is far too long as it is stored.
    Other,
}

/// A value that takes more than this as it is stored is not made into a text: its text is longer than a column takes, and
/// may be longer than the server can make.
const MAX_STORED_BYTES: usize = 64 * 1024 * 1024;

impl Measure {
    /// `None` for what is short whatever its value is.
    fn of(source: &Type) -> Option<Self> {
        match *source {
            _ if matches!(source.kind(), TypeKind::Enum(_)) => None,
            Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 | Type::MONEY => None,
            Type::DATE | Type::TIME | Type::TIMETZ | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::INTERVAL => None,
            Type::UUID | Type::OID | Type::XID | Type::CID | Type::TID | Type::NAME | Type::CHAR | Type::PG_LSN => None,
            Type::INET | Type::CIDR | Type::MACADDR | Type::MACADDR8 => None,
            Type::POINT | Type::LSEG | Type::BOX | Type::LINE | Type::CIRCLE => None,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR => Some(Measure::Text),
            Type::BYTEA => Some(Measure::Bytes),
            Type::BIT | Type::VARBIT => Some(Measure::Bits),
            _ => Some(Measure::Other),
        }
    }

    fn expression(self, value: &str) -> String {
        match self {
            Measure::Text => format!("octet_length({value})"),
            Measure::Bytes => format!("2 + 2 * octet_length({value})::bigint"),
            Measure::Bits => format!("8 * octet_length({value})::bigint"),
            Measure::Other => format!(
                "CASE WHEN pg_column_size({value}) > {MAX_STORED_BYTES} THEN pg_column_size({value}) \
                 ELSE octet_length({value}::text) END"
            ),
        }
    }
}

impl Field {
    /// Fails when the source's type does not become the contract's, naming the column and both.
    ///
    /// A float becomes a decimal by its shortest exact text, which is what a person sees in `psql`: 12.99 is 12.99,
    /// though the float is not. Anything becomes text, as the server writes it.
    pub(crate) fn new(column: &Column, source: &Type) -> Result<Self> {
        let is_enum = matches!(source.kind(), TypeKind::Enum(_));
        let plain = |wire| Some((wire, None));
        let mapped = match (column.column_type, source) {
            (ColumnType::Bigint, &Type::INT2) => plain(Wire::Int2),
            (ColumnType::Bigint, &Type::INT4) => plain(Wire::Int4),
            (ColumnType::Bigint, &Type::INT8) => plain(Wire::Int8),
            (ColumnType::Decimal(_, scale), &Type::NUMERIC) => plain(Wire::Numeric(scale)),
            // Money's number of decimals is a setting of the server; as numeric it carries them along.
            (ColumnType::Decimal(_, scale), &Type::MONEY) => Some((Wire::Numeric(scale), Some("numeric"))),
            (ColumnType::Decimal(_, scale), &Type::INT2) => plain(Wire::IntegerDecimal(Integer::Two, scale)),
            (ColumnType::Decimal(_, scale), &Type::INT4) => plain(Wire::IntegerDecimal(Integer::Four, scale)),
            (ColumnType::Decimal(_, scale), &Type::INT8) => plain(Wire::IntegerDecimal(Integer::Eight, scale)),
            (ColumnType::Decimal(_, scale), &Type::FLOAT4) => plain(Wire::Float4(scale)),
            (ColumnType::Decimal(_, scale), &Type::FLOAT8) => plain(Wire::Float8(scale)),
            (ColumnType::Timestamp, &Type::TIMESTAMP | &Type::TIMESTAMPTZ) => plain(Wire::Timestamp),
            (ColumnType::Date, &Type::DATE) => plain(Wire::Date),
            (ColumnType::Boolean, &Type::BOOL) => plain(Wire::Boolean),
            (ColumnType::Text, &Type::TEXT | &Type::VARCHAR | &Type::BPCHAR | &Type::NAME | &Type::JSON) => {
                plain(Wire::Text)
            }
            (ColumnType::Text, _) if is_enum => plain(Wire::Text),
            (ColumnType::Text, _) => Some((Wire::Text, Some("text"))),
            _ => None,
        };
        let (wire, cast) = mapped.ok_or_else(|| {
            Error::new(
                Kind::SchemaMismatch,
                format!(
                    "column '{}' is a {} in the source, which does not become the contract's {}",
                    column.name,
                    source.name(),
                    column.column_type
                ),
            )
        })?;
        let (name, measure) = (column.name.clone(), Measure::of(source));
        Ok(Field { name, source: column.source().to_owned(), column_type: column.column_type, wire, cast, measure })
    }

    /// The source's column, quoted.
    pub(crate) fn column(&self) -> String {
        identifier(&self.source)
    }

    /// What to select.
    pub(crate) fn expression(&self) -> String {
        self.cast_of(self.column())
    }

    /// What to select of a row that is called `row`.
    pub(crate) fn expression_of(&self, row: &str) -> String {
        self.cast_of(format!("{row}.{}", self.column()))
    }

    fn cast_of(&self, value: String) -> String {
        match self.cast {
            Some(cast) => format!("{value}::{cast}"),
            None => value,
        }
    }

    /// How many bytes would be sent of a row's value; `None` for a column whose values are all short.
    pub(crate) fn length_of(&self, row: &str) -> Option<String> {
        Some(self.measure?.expression(&format!("{row}.{}", self.column())))
    }

    pub(crate) fn is_measured(&self) -> bool {
        self.measure.is_some()
    }

    pub(crate) fn is_integer(&self) -> bool {
        matches!(self.wire, Wire::Int2 | Wire::Int4 | Wire::Int8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(source: Type, contract: &str) -> Result<Field> {
        let column = serde_json::json!({ "name": "c", "type": contract });
        Field::new(&serde_json::from_value(column).unwrap(), &source)
    }

    #[test]
    fn a_type_becomes_what_its_contract_says() {
        let cases = [
            (Type::INT2, "bigint", Wire::Int2, "\"c\""),
            (Type::INT8, "bigint", Wire::Int8, "\"c\""),
            (Type::INT4, "decimal(18,4)", Wire::IntegerDecimal(Integer::Four, 4), "\"c\""),
            (Type::NUMERIC, "decimal(18,4)", Wire::Numeric(4), "\"c\""),
            (Type::MONEY, "decimal(18,2)", Wire::Numeric(2), "\"c\"::numeric"),
            (Type::FLOAT8, "decimal(18,4)", Wire::Float8(4), "\"c\""),
            (Type::VARCHAR, "text", Wire::Text, "\"c\""),
            (Type::JSON, "text", Wire::Text, "\"c\""),
            (Type::JSONB, "text", Wire::Text, "\"c\"::text"),
            (Type::UUID, "text", Wire::Text, "\"c\"::text"),
            (Type::INT8, "text", Wire::Text, "\"c\"::text"),
            (Type::TIMESTAMPTZ, "timestamp", Wire::Timestamp, "\"c\""),
            (Type::DATE, "date", Wire::Date, "\"c\""),
            (Type::BOOL, "boolean", Wire::Boolean, "\"c\""),
        ];
        for (source, contract, wire, expression) in cases {
            let field = map(source.clone(), contract).unwrap();
            assert_eq!((field.wire, field.expression().as_str()), (wire, expression), "{source} as {contract}");
        }
    }

    #[test]
    fn what_does_not_become_its_contract_type_is_named() {
        for (source, contract) in [
            (Type::TEXT, "bigint"),
            (Type::NUMERIC, "bigint"),
            (Type::FLOAT8, "bigint"),
            (Type::TEXT, "decimal(18,4)"),
            (Type::DATE, "timestamp"),
            (Type::TIMESTAMP, "date"),
            (Type::TIME, "timestamp"),
            (Type::INT4, "boolean"),
        ] {
            let error = map(source.clone(), contract).unwrap_err();
            assert_eq!(error.kind(), Kind::SchemaMismatch);
            for part in ["'c'", source.name(), contract] {
                assert!(error.to_string().contains(part), "{error}");
            }
        }
    }
}
