//! Every failure of the Parquet encoder, classified once.

use parquet::errors::ParquetError;
use sluice_core::Error;

pub(crate) fn failed(error: ParquetError) -> Error {
    Error::internal("cannot encode Parquet").because(error)
}
