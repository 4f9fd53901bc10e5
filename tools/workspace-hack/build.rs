//! Empty: with a build script cargo resolves the features of build dependencies too.

fn main() {}
