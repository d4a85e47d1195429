//! Convert: tables between the core's values and JavaScript's.
//!
//! | AMQP | JavaScript |
//! |---|---|
//! | void | `null` |
//! | bool | `boolean` |
//! | integers | `number`, or `bigint` where a number is not exact |
//! | floats, decimal | `number` |
//! | text | `string`, or `Uint8Array` where it is not UTF-8 |
//! | bytes | `Uint8Array` |
//! | timestamp | `Date` |
//! | array, table | array, plain object |
//!
//! In the other direction, a whole `number` becomes the narrower of the two signed integers that hold it, and a
//! `Number` object a float. Written *exactly*, for JSON, a whole float is such an object, and a timestamp an integer.

use js_sys::{Array, BigInt, Date, Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use super::type_error;
use crate::table::{Table, Value};

const EXACT: f64 = 9_007_199_254_740_991.0;
/// The maximum depth of tables, as on the wire.
const DEPTH_MAX: u32 = 32;

#[wasm_bindgen]
extern "C" {
    /// A `Number` object.
    #[wasm_bindgen(js_name = Number)]
    type Float;

    #[wasm_bindgen(constructor, js_class = "Number")]
    fn new(value: f64) -> Float;
    #[wasm_bindgen(method, js_class = "Number", js_name = valueOf)]
    fn value(this: &Float) -> f64;
}

/// Converts a plain object to a table; `undefined` and `null` to an empty one.
pub(super) fn table(object: &JsValue) -> Result<Table, JsValue> {
    read_table(object, 0)
}

fn read_table(object: &JsValue, depth: u32) -> Result<Table, JsValue> {
    if object.is_undefined() || object.is_null() {
        return Ok(Table::new());
    }
    let object = object.dyn_ref::<Object>().ok_or_else(|| type_error("a table must be a plain object"))?;
    let mut table = Table::new();
    for entry in Object::entries(object).iter() {
        let entry: Array = entry.unchecked_into();
        let name = entry.get(0).as_string().unwrap_or_default();
        if name.len() > 255 {
            return Err(type_error("a name in a table is longer than 255 bytes"));
        }
        if !entry.get(1).is_undefined() {
            let value = read_value(&entry.get(1), &name, depth)?;
            table.insert(name, value);
        }
    }
    Ok(table)
}

fn read_value(value: &JsValue, name: &str, depth: u32) -> Result<Value, JsValue> {
    if depth > DEPTH_MAX {
        return Err(type_error(&format!("the table's entry '{name}' is nested too deeply")));
    }
    if value.is_null() {
        return Ok(Value::Void);
    }
    if let Some(text) = value.as_string() {
        return Ok(Value::Text(text.into_bytes().into()));
    }
    if let Some(number) = value.as_f64() {
        return Ok(read_number(number));
    }
    if let Some(truth) = value.as_bool() {
        return Ok(Value::Bool(truth));
    }
    if value.is_bigint() {
        let number = i64::try_from(value.clone());
        return number.map(Value::I64).map_err(|_| type_error(&format!("the table's entry '{name}' exceeds 64 bits")));
    }
    if let Some(float) = value.dyn_ref().map(Float::value) {
        return Ok(Value::F64(float));
    }
    if let Some(bytes) = value.dyn_ref().map(Uint8Array::to_vec) {
        return Ok(Value::Bytes(bytes.into()));
    }
    if let Some(date) = value.dyn_ref::<Date>() {
        return Ok(Value::Timestamp((date.get_time() / 1000.0) as u64));
    }
    if let Some(array) = value.dyn_ref::<Array>() {
        return array.iter().map(|item| read_value(&item, name, depth + 1)).collect::<Result<_, _>>().map(Value::Array);
    }
    if value.is_object() && !value.is_function() {
        return read_table(value, depth + 1).map(Value::Table);
    }
    Err(type_error(&format!("the table's entry '{name}' is of a type that AMQP does not have")))
}

fn read_number(number: f64) -> Value {
    if number.fract() != 0.0 || number.abs() > EXACT {
        Value::F64(number)
    } else if number.abs() <= f64::from(i32::MAX) {
        Value::I32(number as i32)
    } else {
        Value::I64(number as i64)
    }
}

/// Cache of names as JavaScript strings: to make one for each entry of each table of a list is most of the work.
#[derive(Default)]
struct Names<'a> {
    known: Vec<(&'a str, JsValue)>,
    /// Whether values are written exactly.
    is_exact: bool,
}

/// Enough for tables of one kind; of other tables, which peers make, no more names are cached.
const NAMES_MAX: usize = 32;

impl<'a> Names<'a> {
    fn of(&mut self, name: &'a str) -> JsValue {
        if let Some((_, known)) = self.known.iter().find(|(known, _)| *known == name) {
            return known.clone();
        }
        let made = JsValue::from(name);
        if self.known.len() < NAMES_MAX {
            self.known.push((name, made.clone()));
        }
        made
    }
}

/// Converts a table to a plain object.
pub(super) fn write_table(table: &Table) -> JsValue {
    write_entries(table, &mut Names::default())
}

/// Converts tables to an array of plain objects, exactly.
pub(super) fn write_tables(tables: &[Table]) -> Array {
    let mut names = Names { is_exact: true, ..Names::default() };
    tables.iter().map(|table| write_entries(table, &mut names)).collect()
}

fn write_entries<'a>(table: &'a Table, names: &mut Names<'a>) -> JsValue {
    let object = Object::new();
    for (name, value) in table.iter() {
        Reflect::set(&object, &names.of(name), &write_value(value, names)).expect("a new object takes any entry");
    }
    object.into()
}

fn write_value<'a>(value: &'a Value, names: &mut Names<'a>) -> JsValue {
    match value {
        Value::Void => JsValue::NULL,
        Value::Bool(truth) => (*truth).into(),
        Value::F32(number) => write_float((*number).into(), names.is_exact),
        Value::F64(number) => write_float(*number, names.is_exact),
        Value::Decimal { scale, value } => (f64::from(*value) / 10f64.powi((*scale).into())).into(),
        Value::Timestamp(seconds) if names.is_exact => seconds_of(*seconds),
        Value::Timestamp(seconds) => Date::new(&(*seconds as f64 * 1000.0).into()).into(),
        Value::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => text.into(),
            Err(_) => Uint8Array::from(&text[..]).into(),
        },
        Value::Bytes(bytes) => Uint8Array::from(&bytes[..]).into(),
        Value::Array(values) => values.iter().map(|value| write_value(value, names)).collect::<Array>().into(),
        Value::Table(table) => write_entries(table, names),
        value => integer(value.as_integer().unwrap_or_default()),
    }
}

fn write_float(number: f64, is_exact: bool) -> JsValue {
    if is_exact && number.fract() == 0.0 { Float::new(number).into() } else { number.into() }
}

/// Converts a timestamp to an integer.
pub(super) fn seconds_of(timestamp: u64) -> JsValue {
    i64::try_from(timestamp).map_or_else(|_| BigInt::from(timestamp).into(), integer)
}

/// Converts an integer, to a bigint if a number is not exact.
fn integer(number: i64) -> JsValue {
    if number.unsigned_abs() as f64 <= EXACT { (number as f64).into() } else { BigInt::from(number).into() }
}
