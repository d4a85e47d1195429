//! Properties: conversion between AMQP's bytes and plain objects.

use js_sys::{Object, Reflect};
use wasm_bindgen::prelude::*;

use super::convert::{seconds_of, table, write_table, write_tables};
use super::options::Fields;
use crate::properties::{Properties, PropertyValues};

/// Reads properties from a plain object.
pub(super) fn read_properties(object: &JsValue) -> Result<PropertyValues, JsValue> {
    let fields = Fields(object);
    Ok(PropertyValues {
        content_type: fields.text("contentType")?,
        content_encoding: fields.text("contentEncoding")?,
        headers: fields.value("headers").map(|headers| table(&headers)).transpose()?,
        delivery_mode: fields.number("deliveryMode")?,
        priority: fields.number("priority")?,
        correlation_id: fields.text("correlationId")?,
        reply_to: fields.text("replyTo")?,
        expiration: fields.text("expiration")?,
        message_id: fields.text("messageId")?,
        timestamp: fields.number("timestamp")?,
        kind: fields.text("type")?,
        user_id: fields.text("userId")?,
        app_id: fields.text("appId")?,
        cluster_id: None,
    })
}

/// Converts properties to a plain object, without those that the message does not have.
pub(super) fn write_properties(properties: Properties<'_>, exact: bool) -> JsValue {
    let object = Object::new();
    let set = |name: &str, value: Option<JsValue>| {
        if let Some(value) = value {
            Reflect::set(&object, &name.into(), &value).expect("a new object takes any entry");
        }
    };
    set("contentType", properties.content_type().map(JsValue::from));
    set("contentEncoding", properties.content_encoding().map(JsValue::from));
    set(
        "headers",
        properties.headers().as_ref().map(|headers| {
            if exact { write_tables(std::slice::from_ref(headers)).get(0) } else { write_table(headers) }
        }),
    );
    set("deliveryMode", properties.delivery_mode().map(JsValue::from));
    set("priority", properties.priority().map(JsValue::from));
    set("correlationId", properties.correlation_id().map(JsValue::from));
    set("replyTo", properties.reply_to().map(JsValue::from));
    set("expiration", properties.expiration().map(JsValue::from));
    set("messageId", properties.message_id().map(JsValue::from));
    set(
        "timestamp",
        properties.timestamp().map(|seconds| if exact { seconds_of(seconds) } else { (seconds as f64).into() }),
    );
    set("type", properties.kind().map(JsValue::from));
    set("userId", properties.user_id().map(JsValue::from));
    set("appId", properties.app_id().map(JsValue::from));
    object.into()
}
