//! wasm-bindgen: writes the JavaScript glue of a compiled artifact, by `wasm-bindgen INPUT.wasm OUT_DIR NAME`.
//!
//! `--version` prints the same as the published program, by which wasm-pack recognises it.

use std::{env, process::ExitCode};

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--version"] => {
            println!("wasm-bindgen {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        [input, out_dir, name] => bind(input, out_dir, name),
        _ => Err(anyhow::anyhow!("expected INPUT.wasm OUT_DIR NAME")),
    };
    if let Err(error) = done {
        eprintln!("{error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn bind(input: &str, out_dir: &str, name: &str) -> anyhow::Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(input).out_name(name).typescript(true).web(true)?;
    bindgen.generate(out_dir)
}
