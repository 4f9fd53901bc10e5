//! Readers for the user's own data.
