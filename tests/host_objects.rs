//! Host objects: the methods that the wasm calls, in Rust, are those that TypeScript declares, as no compiler sees both.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::BTreeMap;

/// Types of the parameters, and of the result.
type Signature<'a> = (Vec<&'a str>, &'a str);

#[test]
fn the_store_has_the_methods_that_the_journal_calls() {
    compare(include_str!("../src/wasm/journal.rs"), include_str!("../src/wasm/types/tab.d.ts"), "Store");
}

#[test]
fn the_access_rules_have_the_methods_that_access_calls() {
    compare(include_str!("../src/wasm/access.rs"), include_str!("../src/wasm/types/server.d.ts"), "AccessRules");
}

fn compare(rust: &str, typescript: &str, interface: &str) {
    let declared = declared(typescript, interface);
    let called = called(rust);
    assert!(called.len() >= 5, "{interface}: {called:?}");
    for (name, (parameters, result)) in called {
        let (types, returned) = declared.get(name).unwrap_or_else(|| panic!("{interface} does not declare {name}"));
        let are_alike =
            parameters.len() == types.len() && parameters.iter().zip(types).all(|(one, other)| is(one, other));
        assert!(are_alike, "{interface}.{name}: {parameters:?} in Rust, {types:?} in TypeScript");
        assert!(is(result, returned), "{interface}.{name} returns {result} in Rust, {returned} in TypeScript");
    }
}

/// Returns the methods of the imported class.
fn called(rust: &str) -> BTreeMap<&str, Signature<'_>> {
    let block = between(rust, "extern \"C\" {", "\n}");
    let methods = block.split("#[wasm_bindgen(method").skip(1);
    let method = |text| {
        let (attribute, function) = split(text, ")]");
        let (name, signature) = split(split(function, "fn ").1, "(");
        let parameters = split(signature, ")").0.split(',').map(|parameter| split(parameter, ":").1.trim());
        let parameters = parameters.filter(|kind| !kind.is_empty() && !kind.ends_with("Object")).collect();
        let result = between(signature, "Result<", ", JsValue>");
        (attribute.split("js_name = ").nth(1).unwrap_or(name), (parameters, result))
    };
    methods.map(method).collect()
}

/// Returns the methods of an interface.
fn declared<'a>(typescript: &'a str, interface: &str) -> BTreeMap<&'a str, Signature<'a>> {
    let block = between(typescript, &format!("export interface {interface} {{"), "\n}");
    let methods = block.lines().map(str::trim).filter(|line| line.ends_with(';') && line.contains('('));
    let method = |line| {
        let (name, signature) = split(line, "(");
        let (parameters, result) = split(signature, "): ");
        let kinds = parameters.split(", ").filter(|parameter| !parameter.is_empty());
        (name, (kinds.map(|parameter| split(parameter, ": ").1).collect(), result.trim_end_matches(';')))
    };
    methods.map(method).collect()
}

/// Returns whether a type of Rust is this type of TypeScript.
fn is(rust: &str, typescript: &str) -> bool {
    match rust {
        "&str" => typescript.split(" | ").all(|each| each == "string" || each.starts_with('"')),
        "bool" => typescript == "boolean",
        "u32" | "f64" => typescript == "number",
        "&[u8]" | "&mut [u8]" => typescript == "Uint8Array",
        "Option<String>" => typescript == "string | undefined",
        "Option<f64>" => typescript == "number | undefined",
        "js_sys::Array" => typescript.ends_with("[]"),
        "()" => typescript == "void",
        _ => false,
    }
}

fn split<'a>(text: &'a str, at: &str) -> (&'a str, &'a str) {
    text.split_once(at).unwrap_or((text, ""))
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("{from} is missing"));
    split(rest, to).0
}
