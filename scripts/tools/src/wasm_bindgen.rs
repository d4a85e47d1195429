//! wasm-bindgen: writes the JavaScript glue of a compiled artifact, by `wasm-bindgen INPUT.wasm OUT_DIR NAME`.

use std::env;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [input, out_dir, name] = &args[..] else { anyhow::bail!("expected INPUT.wasm OUT_DIR NAME") };
    Bindgen::new().input_path(input).out_name(name).typescript(true).web(true)?.generate(out_dir)
}
