//! What a contract's types are called in the warehouse.

use sluice_core::ColumnType;

pub(crate) fn column_type(column_type: ColumnType) -> String {
    match column_type {
        ColumnType::Bigint => "NUMBER(19,0)".to_owned(),
        ColumnType::Text => "VARCHAR".to_owned(),
        ColumnType::Decimal(precision, scale) => format!("NUMBER({precision},{scale})"),
        ColumnType::Timestamp => "TIMESTAMP_NTZ(6)".to_owned(),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Boolean => "BOOLEAN".to_owned(),
    }
}
