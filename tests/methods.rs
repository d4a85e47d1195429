//! Methods: the generated code of their codec is up to date.
#![cfg(not(target_arch = "wasm32"))]

#[path = "../scripts/methods.rs"]
mod generator;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn formatted(code: &str) -> String {
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path", env!("CARGO_MANIFEST_DIR")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("rustfmt belongs to the toolchain");
    rustfmt.stdin.take().unwrap().write_all(code.as_bytes()).unwrap();
    let output = rustfmt.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn check(file: &str, code: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protocol/amqp/method").join(file);
    let code = formatted(code);
    if std::env::var_os("REGENERATE").is_some() {
        std::fs::write(&path, &code).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(checked_in == code, "{file} is out of date: REGENERATE=1 cargo test --test methods");
}

#[test]
fn the_generated_code_is_up_to_date() {
    check("received.rs", &generator::received());
    check("sent.rs", &generator::sent());
}
