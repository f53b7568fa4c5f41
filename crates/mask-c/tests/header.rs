//! The header is that of the library.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{env, fs, path::Path};

/// `UPDATE=1 cargo test -p mask-c` writes it.
#[test]
fn the_header_is_that_of_the_library() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let sources = ["status", "options", "detections", "detector"];
    let builder =
        sources.iter().fold(cbindgen::Builder::new().with_config(config), |builder, name| {
            builder.with_src(root.join("src").join(format!("{name}.rs")))
        });
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let path = root.join("include/mask_detector.h");
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let header = fs::read_to_string(&path).unwrap();
    assert!(
        made == header,
        "include/mask_detector.h is older than the library: UPDATE=1 cargo test -p mask-c"
    );
}
