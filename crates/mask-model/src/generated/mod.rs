//! Code that `cargo xtask import` wrote. Not to be edited.

#[rustfmt::skip]
#[allow(clippy::all, clippy::semicolon_if_nothing_returned, missing_docs, unreachable_pub, unused_extern_crates)]
pub(crate) mod mobilenet_v2;
