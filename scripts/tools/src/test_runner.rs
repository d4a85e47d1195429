//! wasm-bindgen-test-runner: runs a compiled wasm test in a browser, as `cargo test` calls it.

use std::env;

fn main() -> anyhow::Result<()> {
    wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(env::args_os())
}
