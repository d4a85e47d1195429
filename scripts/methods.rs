//! Methods: writes the code that decodes and encodes AMQP's methods, out of the specification that the crate
//! amq-protocol-codegen carries.
//!
//! `REGENERATE=1 cargo test --test methods` runs it; without that variable the test compares. Only what a server needs
//! is written, because each method costs bytes of the artifact: decoders of what clients send, encoders of what we send.

use std::fmt::Write;

use amq_protocol::types::AMQPType;
use amq_protocol_codegen::{AMQPArgument, AMQPMethod, AMQProtocolDefinition, camel_case, snake_case};

/// Methods that are read from clients.
const RECEIVED: &[&str] = &[
    "connection.start-ok",
    "connection.tune-ok",
    "connection.open",
    "connection.close",
    "connection.close-ok",
    "connection.update-secret",
    "channel.open",
    "channel.flow",
    "channel.close",
    "channel.close-ok",
    "access.request",
    "exchange.declare",
    "exchange.delete",
    "exchange.bind",
    "exchange.unbind",
    "queue.declare",
    "queue.bind",
    "queue.purge",
    "queue.delete",
    "queue.unbind",
    "basic.qos",
    "basic.consume",
    "basic.cancel",
    "basic.publish",
    "basic.get",
    "basic.ack",
    "basic.reject",
    "basic.recover-async",
    "basic.recover",
    "basic.nack",
    "tx.select",
    "tx.commit",
    "tx.rollback",
    "confirm.select",
];

/// Methods that are sent to clients.
const SENT: &[&str] = &[
    "connection.start",
    "connection.tune",
    "connection.open-ok",
    "connection.close",
    "connection.close-ok",
    "connection.update-secret-ok",
    "connection.blocked",
    "connection.unblocked",
    "channel.open-ok",
    "channel.flow-ok",
    "channel.close",
    "channel.close-ok",
    "access.request-ok",
    "exchange.declare-ok",
    "exchange.delete-ok",
    "exchange.bind-ok",
    "exchange.unbind-ok",
    "queue.declare-ok",
    "queue.bind-ok",
    "queue.purge-ok",
    "queue.delete-ok",
    "queue.unbind-ok",
    "basic.qos-ok",
    "basic.consume-ok",
    "basic.cancel",
    "basic.cancel-ok",
    "basic.return",
    "basic.deliver",
    "basic.get-ok",
    "basic.get-empty",
    "basic.ack",
    "basic.recover-ok",
    "basic.nack",
    "tx.select-ok",
    "tx.commit-ok",
    "tx.rollback-ok",
    "confirm.select-ok",
];

/// Arguments that nobody uses any more, or that mean nothing to this server: skipped when read, empty when written.
const UNUSED: &[(&str, &str)] = &[
    ("*", "ticket"),
    ("*", "out-of-band"),
    ("*", "capabilities"),
    ("*", "insist"),
    ("*", "known-hosts"),
    ("*", "channel-id"),
    ("*", "locale"),
    ("*", "cluster-id"),
    ("*", "no-local"),
    ("access.request", "*"),
    ("connection.update-secret", "reason"),
];

/// A method with its full name.
struct Method<'a> {
    name: String,
    class_id: u16,
    method: &'a AMQPMethod,
}

/// One argument, or one bit of an octet of bits.
struct Field {
    name: String,
    kind: Kind,
    used: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Octet,
    Short,
    Long,
    LongLong,
    ShortString,
    LongString,
    /// The number of the bit in its octet.
    Bit(usize),
}

impl Kind {
    fn of(kind: AMQPType) -> Self {
        match kind {
            AMQPType::ShortShortUInt => Self::Octet,
            AMQPType::ShortUInt => Self::Short,
            AMQPType::LongUInt => Self::Long,
            AMQPType::LongLongUInt | AMQPType::Timestamp => Self::LongLong,
            AMQPType::ShortString => Self::ShortString,
            AMQPType::LongString | AMQPType::FieldTable => Self::LongString,
            other => panic!("no method has an argument of type {other:?}"),
        }
    }

    fn rust(self) -> &'static str {
        match self {
            Self::Octet => "u8",
            Self::Short => "u16",
            Self::Long => "u32",
            Self::LongLong => "u64",
            Self::ShortString => "&'a str",
            Self::LongString => "&'a [u8]",
            Self::Bit(_) => "bool",
        }
    }

    fn reader(self) -> &'static str {
        match self {
            Self::Octet | Self::Bit(_) => "octet",
            Self::Short => "short",
            Self::Long => "long",
            Self::LongLong => "longlong",
            Self::ShortString => "short_string",
            Self::LongString => "long_string",
        }
    }

    fn is_borrowed(self) -> bool {
        matches!(self, Self::ShortString | Self::LongString)
    }
}

impl Method<'_> {
    fn type_name(&self) -> String {
        camel_case(&self.name.replace('.', "-"))
    }

    fn fields(&self) -> Vec<Field> {
        self.method.arguments.iter().flat_map(|argument| self.fields_of(argument)).collect()
    }

    fn fields_of(&self, argument: &AMQPArgument) -> Vec<Field> {
        match argument {
            AMQPArgument::Value(value) => vec![self.field(&value.name, Kind::of(value.amqp_type))],
            AMQPArgument::Flags(flags) => {
                flags.flags.iter().enumerate().map(|(bit, flag)| self.field(&flag.name, Kind::Bit(bit))).collect()
            }
        }
    }

    fn field(&self, name: &str, kind: Kind) -> Field {
        let unused = UNUSED.iter().any(|&(m, a)| (m == "*" || m == self.name) && (a == "*" || a == name));
        Field { name: snake_case(name, true), kind, used: !unused }
    }

    fn used_fields(&self) -> Vec<Field> {
        self.fields().into_iter().filter(|field| field.used).collect()
    }

    /// Whether it carries nothing that we look at.
    fn is_bare(&self) -> bool {
        self.used_fields().is_empty()
    }

    fn lifetime(&self, lifetime: &str) -> String {
        let borrows = self.used_fields().iter().any(|field| field.kind.is_borrowed());
        if borrows { format!("<{lifetime}>") } else { String::new() }
    }

    /// The type: a struct with the used arguments, or without any.
    fn definition(&self) -> String {
        let mut code = format!("/// `{}`\n#[derive(Clone, Copy, Debug, PartialEq)]\n", self.name);
        let (name, lifetime) = (self.type_name(), self.lifetime("'a"));
        let fields = self.used_fields();
        if fields.is_empty() {
            return code + &format!("pub(crate) struct {name};\n\n");
        }
        writeln!(code, "pub(crate) struct {name}{lifetime} {{").unwrap();
        for field in fields {
            writeln!(code, "    pub(crate) {}: {},", field.name, field.kind.rust()).unwrap();
        }
        code + "}\n\n"
    }

    fn decoder(&self) -> String {
        let (name, lifetime) = (self.type_name(), self.lifetime("'a"));
        let (generics, reader) = match lifetime.as_str() {
            "" => ("", "Reader<'_>"),
            _ => ("<'a>", "Reader<'a>"),
        };
        let mut code = format!("impl{generics} {name}{lifetime} {{\n");
        writeln!(code, "    fn decode(reader: &mut {reader}) -> Result<Self, Malformed> {{").unwrap();
        code += &self.reading();
        let names: Vec<_> = self.used_fields().into_iter().map(|field| field.name).collect();
        code + &format!("        Ok(Self {{ {} }})\n    }}\n}}\n\n", names.join(", "))
    }

    fn reading(&self) -> String {
        let mut code = String::new();
        for argument in &self.method.arguments {
            let fields = self.fields_of(argument);
            if let AMQPArgument::Flags(_) = argument {
                code += &reading_bits(&fields);
                continue;
            }
            let Field { name, kind, used } = &fields[0];
            let binding = if *used { format!("let {name} = ") } else { String::new() };
            writeln!(code, "        {binding}reader.{}()?;", kind.reader()).unwrap();
        }
        code
    }

    fn encoder(&self) -> String {
        let lifetime = self.lifetime("'_");
        let mut code = format!("impl Encode for {}{lifetime} {{\n", self.type_name());
        code += "    fn encode(&self, out: &mut Vec<u8>) {\n";
        let [a, b] = self.class_id.to_be_bytes();
        let [c, d] = self.method.id.to_be_bytes();
        writeln!(code, "        out.extend_from_slice(&[{a}, {b}, {c}, {d}]);").unwrap();
        for argument in &self.method.arguments {
            let fields = self.fields_of(argument);
            match argument {
                AMQPArgument::Value(_) => code += &writing(&fields[0]),
                AMQPArgument::Flags(_) => code += &writing_bits(&fields),
            }
        }
        code + "    }\n}\n\n"
    }
}

fn reading_bits(fields: &[Field]) -> String {
    let used: Vec<_> = fields.iter().filter(|field| field.used).collect();
    if used.is_empty() {
        return "        reader.octet()?;\n".to_owned();
    }
    let mut code = "        let bits = reader.octet()?;\n".to_owned();
    for field in used {
        let Kind::Bit(bit) = field.kind else { unreachable!() };
        writeln!(code, "        let {} = bits & {} != 0;", field.name, 1 << bit).unwrap();
    }
    code
}

fn writing(field: &Field) -> String {
    let name = &field.name;
    let statement = match (field.used, field.kind) {
        (true, Kind::Octet) => format!("out.push(self.{name})"),
        (true, Kind::ShortString) => format!("put_name(out, self.{name})"),
        (true, Kind::LongString) => format!("put_long_string(out, self.{name})"),
        (true, _) => format!("out.extend_from_slice(&self.{name}.to_be_bytes())"),
        (false, Kind::Octet | Kind::ShortString) => "out.push(0)".to_owned(),
        (false, Kind::Short) => "out.extend_from_slice(&[0; 2])".to_owned(),
        (false, Kind::Long | Kind::LongString) => "out.extend_from_slice(&[0; 4])".to_owned(),
        (false, _) => "out.extend_from_slice(&[0; 8])".to_owned(),
    };
    format!("        {statement};\n")
}

fn writing_bits(fields: &[Field]) -> String {
    let bits: Vec<_> = fields
        .iter()
        .filter(|field| field.used)
        .map(|field| match field.kind {
            Kind::Bit(0) => format!("u8::from(self.{})", field.name),
            Kind::Bit(bit) => format!("u8::from(self.{}) << {bit}", field.name),
            _ => unreachable!(),
        })
        .collect();
    format!("        out.push({});\n", bits.join(" | "))
}

fn methods<'a>(definition: &'a AMQProtocolDefinition, names: &[&str]) -> Vec<Method<'a>> {
    let find = |name: &&str| {
        let (class, method) = name.split_once('.').unwrap();
        let class = definition.classes.iter().find(|c| c.name == class).unwrap();
        let method = class.methods.iter().find(|m| m.name == method).unwrap();
        Method { name: (*name).to_owned(), class_id: class.id, method }
    };
    names.iter().map(find).collect()
}

fn header(noun: &str) -> String {
    format!(
        "//! {noun}\n//!\n//! Generated by scripts/methods.rs out of the AMQP specification: do not edit, run `REGENERATE=1 \
         cargo test --test\n//! methods`.\n\n"
    )
}

/// The enum of all received methods with its decoder.
fn dispatch(methods: &[Method<'_>]) -> String {
    let mut code = "/// A method that a client sent.\n#[derive(Clone, Copy, Debug, PartialEq)]\n".to_owned();
    code += "pub(crate) enum Method<'a> {\n";
    for method in methods {
        let (name, lifetime) = (method.type_name(), method.lifetime("'a"));
        let content = if method.is_bare() { String::new() } else { format!("({name}{lifetime})") };
        writeln!(code, "    {name}{content},").unwrap();
    }
    code += "}\n\nimpl<'a> Method<'a> {\n";
    code += "    /// Reads the arguments of the method `id`; none if clients send no such method.\n";
    code += "    pub(crate) fn decode(id: MethodId, reader: &mut Reader<'a>) -> Result<Option<Self>, Malformed> {\n";
    code += "        Ok(Some(match (id.class, id.method) {\n";
    for method in methods {
        let name = method.type_name();
        let value = match (method.is_bare(), method.reading()) {
            (false, _) => format!("Self::{name}({name}::decode(reader)?)"),
            (true, reading) if reading.is_empty() => format!("Self::{name}"),
            (true, reading) => format!("{{\n{reading}        Self::{name}\n}}"),
        };
        writeln!(code, "            ({}, {}) => {value},", method.class_id, method.method.id).unwrap();
    }
    code + "            _ => return Ok(None),\n        }))\n    }\n}\n\n"
}

/// The module of the methods that clients send.
pub fn received() -> String {
    let definition = AMQProtocolDefinition::load(None);
    let methods = methods(&definition, RECEIVED);
    let mut code = header("Received: the methods that clients send, and how their bytes are read.");
    code += "use super::MethodId;\nuse crate::wire::{Malformed, Reader};\n\n";
    code += &dispatch(&methods);
    for method in methods.iter().filter(|method| !method.is_bare()) {
        code += &method.definition();
        code += &method.decoder();
    }
    code
}

/// The module of the methods that we send.
pub fn sent() -> String {
    let definition = AMQProtocolDefinition::load(None);
    let methods = methods(&definition, SENT);
    let is_shared = |method: &Method<'_>| RECEIVED.contains(&method.name.as_str()) && !method.is_bare();
    let shared: Vec<_> = methods.iter().filter(|&method| is_shared(method)).map(Method::type_name).collect();
    let mut code = header("Sent: the methods that we send, and how they become bytes.");
    writeln!(code, "use super::Encode;\nuse super::received::{{{}}};", shared.join(", ")).unwrap();
    code += "use crate::wire::{put_long_string, put_name};\n\n";
    for method in &methods {
        if !is_shared(method) {
            code += &method.definition();
        }
        code += &method.encoder();
    }
    code
}
