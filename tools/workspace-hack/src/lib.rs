//! Nothing but dependencies. A crate that several packages need is compiled with the union of the features that they ask for;
//! a package that is built alone asks for less, and would compile it, and all that stands on it, a second time. Naming the
//! union here makes every build the same. `tests/it/build.rs` compares the list with what cargo resolves.
