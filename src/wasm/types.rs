//! Types: plain objects of JavaScript, by the names of their TypeScript types in `types/*.d.ts`.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const EMBED: &str = include_str!("types/embed.d.ts");

#[cfg(feature = "tab")]
#[wasm_bindgen(typescript_custom_section)]
const TAB: &str = include_str!("types/tab.d.ts");

#[cfg(feature = "server")]
#[wasm_bindgen(typescript_custom_section)]
const SERVER: &str = include_str!("types/server.d.ts");

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(typescript_type = "ServerOptions")]
    pub type ServerOptions;

    #[wasm_bindgen(typescript_type = "Table")]
    pub type PlainTable;

    #[wasm_bindgen(typescript_type = "Properties")]
    pub type PlainProperties;

    #[wasm_bindgen(typescript_type = "ExchangeDeclaration")]
    pub type ExchangeOptions;

    #[wasm_bindgen(typescript_type = "QueueDeclaration")]
    pub type QueueOptions;

    #[wasm_bindgen(typescript_type = "Consumption")]
    pub type ConsumeOptions;

    #[wasm_bindgen(typescript_type = "Policy")]
    pub type PolicyOptions;
}
