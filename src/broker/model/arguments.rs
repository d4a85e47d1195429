//! Arguments: the names of those that mean something, and how their values are read.
//!
//! ```text
//! of queues      settings.rs, with their keys in policies
//! of exchanges   [`EXCHANGE_ARGUMENTS`]
//! of bindings    [`BINDING_ARGUMENTS`]
//! of consumers   [`CONSUMER_ARGUMENTS`]
//! ```
//!
//! Types for TypeScript are made of these tables, and tests compare the tables of docs/compatibility.md with them. All
//! of that happens when the crate is compiled: descriptions take no space in the broker.

use std::fmt;

use crate::table::{Table, Value};

pub(crate) const ALTERNATE_EXCHANGE: &str = "alternate-exchange";
pub(crate) const HASH_HEADER: &str = "hash-header";
pub(crate) const HASH_PROPERTY: &str = "hash-property";
pub(crate) const DELAYED_TYPE: &str = "x-delayed-type";
pub(crate) const MATCH: &str = "x-match";
pub(crate) const PRIORITY: &str = "x-priority";

/// Arguments of exchanges. The first is a key of policies, too.
pub(crate) const EXCHANGE_ARGUMENTS: [Described; 4] = [
    Described::new(ALTERNATE_EXCHANGE, "string", "The exchange that gets what this one routes nowhere."),
    Described::new(HASH_HEADER, "string", "The header that an exchange of type x-consistent-hash hashes."),
    Described::new(
        HASH_PROPERTY,
        r#""message_id" | "correlation_id" | "timestamp""#,
        "The property that an exchange of type x-consistent-hash hashes.",
    ),
    Described::new(DELAYED_TYPE, "ExchangeType", "The type by which an exchange of type x-delayed-message routes."),
];
/// Arguments of bindings, apart from the headers to match.
#[cfg(test)]
const BINDING_ARGUMENTS: [&str; 1] = [MATCH];
/// Arguments of consumers.
pub(crate) const CONSUMER_ARGUMENTS: [Described; 1] =
    [Described::new(PRIORITY, "number", "Consumers of a higher priority are served first.")];

/// Maximum of times in arguments and properties, ten years.
pub(crate) const DURATION_MAX_MS: i64 = 10 * 365 * 86_400_000;

/// An argument of queues, as a row of the table of all.
pub(crate) struct Row<S: 'static> {
    pub(crate) argument: Argument<S>,
    pub(crate) described: Described,
    /// Whether it is a key of operator policies, too.
    pub(crate) is_for_operators: bool,
}

/// An argument, and how the broker reads, merges and compares it.
pub(crate) struct Argument<S: 'static> {
    pub(crate) name: &'static str,
    /// Reads it into settings. An argument without this has no effect.
    pub(crate) read: Option<fn(&mut S, &Value) -> Read<()>>,
    pub(crate) key: Key<S>,
    pub(crate) on: On,
    pub(crate) compared: Compared,
}

/// The effect of a policy with the argument's name, without `x-`, as a key.
pub(crate) enum Key<S: 'static> {
    Unknown,
    Ignored,
    /// Combines the first settings, from arguments, with those of a policy; or those of a policy with the operator's.
    Merged {
        policy: Merge<S>,
        operator: Merge<S>,
    },
}

pub(crate) type Merge<S> = fn(&mut S, &S);

/// Types of queue that an argument is accepted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    All,
    Classic,
    Quorum,
    /// These are not implemented.
    Streams,
}

/// How two declarations of a queue are compared.
#[derive(Clone, Copy)]
pub(crate) enum Compared {
    Value,
    /// A missing argument counts as this value.
    MissingIs(&'static str),
    /// Any two values are equivalent: declaring more partitions adds them, fewer are those declared before.
    Presence,
}

/// An argument as its users see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described {
    pub(crate) name: &'static str,
    /// Its type in TypeScript.
    typescript: &'static str,
    /// One sentence.
    description: &'static str,
}

/// An invalid argument.
#[derive(PartialEq, Eq)]
pub(crate) struct BadArgument {
    pub(crate) name: &'static str,
    pub(crate) reason: Reason,
}

/// As short as can be, as the artifacts contain it, too.
impl fmt::Debug for BadArgument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// Reason why an argument is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Value(String),
    /// Its value has this type.
    Type(&'static str),
    /// Queues of this type do not have it.
    QueueType(&'static str),
    /// This sentence says what there is instead.
    NotImplemented(&'static str),
}

pub(crate) type Read<T> = Result<T, Reason>;

impl Described {
    /// The type of an argument that TypeScript does not know.
    pub(crate) const NO_TYPE: &'static str = "";

    pub(crate) const fn new(name: &'static str, typescript: &'static str, description: &'static str) -> Self {
        Self { name, typescript, description }
    }
}

impl<S> Row<S> {
    pub(crate) const NO_EFFECT: &'static str = "No effect here.";

    pub(crate) const fn new(name: &'static str, typescript: &'static str, description: &'static str) -> Self {
        let (read, key, on, compared) = (None, Key::Unknown, On::All, Compared::Value);
        let described = Described::new(name, typescript, description);
        Self { argument: Argument { name, read, key, on, compared }, described, is_for_operators: false }
    }

    /// Makes an argument of streams. Policies may have it as a key.
    pub(crate) const fn of_streams(name: &'static str) -> Self {
        Self::new(name, Described::NO_TYPE, Self::NO_EFFECT).ignored().on(On::Streams)
    }

    pub(crate) const fn read(mut self, read: fn(&mut S, &Value) -> Read<()>) -> Self {
        self.argument.read = Some(read);
        self
    }

    pub(crate) const fn on(mut self, on: On) -> Self {
        self.argument.on = on;
        self
    }

    pub(crate) const fn compared(mut self, compared: Compared) -> Self {
        self.argument.compared = compared;
        self
    }

    /// Makes it a key of policies that has no effect.
    pub(crate) const fn ignored(mut self) -> Self {
        self.argument.key = Key::Ignored;
        self
    }

    /// Makes it a key of policies: `merge` combines the argument with it.
    pub(crate) const fn policy(mut self, merge: Merge<S>) -> Self {
        self.argument.key = Key::Merged { policy: merge, operator: merge };
        self
    }

    /// Makes it a key of operator policies, too.
    pub(crate) const fn operators(mut self) -> Self {
        self.is_for_operators = true;
        self
    }

    /// The same, if a policy and an operator policy are combined otherwise than an argument and a policy.
    pub(crate) const fn limit(mut self, merge: Merge<S>) -> Self {
        if let Key::Merged { policy, .. } = self.argument.key {
            self.argument.key = Key::Merged { policy, operator: merge };
        }
        self.operators()
    }
}

impl<S> Argument<S> {
    /// Returns its key in policies.
    pub(crate) const fn key(&self) -> &'static str {
        self.name.split_at_checked("x-".len()).expect("the name of an argument begins with x-").1
    }
}

impl<S> Clone for Argument<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Argument<S> {}

impl<S> Clone for Key<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Key<S> {}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(reason) => formatter.write_str(reason),
            Self::Type(kind) => write!(formatter, "{{unacceptable_type,{kind}}}"),
            Self::QueueType(kind) => write!(formatter, "no {kind} has it"),
            Self::NotImplemented(reason) => formatter.write_str(reason),
        }
    }
}

/// Returns the alternate exchange in the arguments of an exchange, or in the definition of a policy.
pub(crate) fn alternate_exchange(arguments: &Table) -> Option<&str> {
    arguments.get(ALTERNATE_EXCHANGE).and_then(Value::as_str)
}

/// Reads a number that is at least `min`.
pub(crate) fn integer(value: &Value, min: i64, max: i64) -> Read<i64> {
    match value.as_integer() {
        None => bad(format!("\"expected integer, got {}\"", value.type_name())),
        Some(n) if n < min && n == 0 => bad("{value_zero,0}".into()),
        Some(n) if n < min => bad(format!("{{value_negative,{n}}}")),
        Some(n) if n > max => bad(format!("{{value_too_large,{n}}}")),
        Some(n) => Ok(n),
    }
}

/// Reads a time in milliseconds.
pub(crate) fn duration(value: &Value, min: i64) -> Read<u64> {
    integer(value, min, DURATION_MAX_MS).map(|ms| ms as u64)
}

/// Reads a string; `wrong` makes the reason from the name of another type.
pub(crate) fn text(value: &Value, wrong: fn(&'static str) -> Reason) -> Read<Box<str>> {
    match value.as_str() {
        None => Err(wrong(value.type_name())),
        Some(text) if text.len() > 255 => bad("\"longer than 255 bytes\"".into()),
        Some(text) => Ok(text.into()),
    }
}

pub(crate) fn truth(value: &Value) -> Read<bool> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        value => Err(unacceptable(value.type_name())),
    }
}

pub(crate) fn unacceptable(kind: &'static str) -> Reason {
    Reason::Value(format!("{{unacceptable_type,{kind}}}"))
}

pub(crate) fn bad<T>(reason: String) -> Read<T> {
    Err(Reason::Value(reason))
}

/// Text that is put together at compile time.
pub(crate) struct Text {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl Text {
    const CAPACITY: usize = 8192;

    pub(crate) const fn new() -> Self {
        Self { bytes: [0; Self::CAPACITY], len: 0 }
    }

    pub(crate) const fn as_str(&self) -> &str {
        match str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => panic!("text is put together of texts"),
        }
    }

    /// Appends these texts.
    pub(crate) const fn put(mut self, parts: &[&str]) -> Self {
        let mut part = 0;
        while part < parts.len() {
            let (bytes, mut at) = (parts[part].as_bytes(), 0);
            while at < bytes.len() {
                self.bytes[self.len] = bytes[at];
                (self.len, at) = (self.len + 1, at + 1);
            }
            part += 1;
        }
        self
    }

    /// Appends an interface of TypeScript that has these arguments as its fields.
    pub(crate) const fn interface(mut self, name: &str, description: &str, arguments: &[Described]) -> Self {
        self = self.put(&["\n/** ", description, " */\nexport interface ", name, " {\n"]);
        let mut at = 0;
        while at < arguments.len() {
            let Described { name, typescript, description } = arguments[at];
            if !typescript.is_empty() {
                self = self.put(&["  /** ", description, " */\n  \"", name, "\"?: ", typescript, " | undefined;\n"]);
            }
            at += 1;
        }
        self.put(&["}\n"])
    }

    /// Appends a type that is one of these texts; empty ones are left out.
    pub(crate) const fn union(mut self, name: &str, description: &str, texts: &[&str]) -> Self {
        self = self.put(&["\n/** ", description, " */\nexport type ", name, " ="]);
        let mut at = 0;
        while at < texts.len() {
            if !texts[at].is_empty() {
                self = self.put(&["\n  | \"", texts[at], "\""]);
            }
            at += 1;
        }
        self.put(&[";\n"])
    }
}

#[cfg(test)]
pub(crate) mod page {
    //! Page: the tables of docs/compatibility.md, which tests compare with those of the code.

    const PAGE: &str = include_str!("../../../docs/compatibility.md");

    /// Returns the rows of the table whose first column has this title: name, state and note.
    pub(crate) fn table(title: &str) -> Vec<(&'static str, &'static str, &'static str)> {
        let start = PAGE.find(&format!("\n| {title} | | |\n")).expect("docs/compatibility.md has this table");
        let rows = PAGE[start..].lines().skip(3).take_while(|line| line.starts_with('|'));
        let cells = rows.map(|row| {
            let mut cells = row.trim_matches('|').splitn(3, '|').map(str::trim);
            let mut next = || cells.next().expect("a row has three cells");
            (next().trim_matches('`'), next(), next())
        });
        cells.filter(|(name, ..)| *name != "others").collect()
    }

    /// Returns the rest of the line that begins like this.
    pub(crate) fn line(start: &str) -> &'static str {
        let rest = PAGE.lines().find_map(|line| line.strip_prefix(start));
        rest.unwrap_or_else(|| panic!("docs/compatibility.md has no line that begins with: {start}"))
    }

    /// Checks that a table has these rows, in this order; each with its state, and words that the note begins with.
    pub(crate) fn check(title: &str, expected: &[(&str, &[&str], &str)]) {
        let rows = table(title);
        for &(name, states, note) in expected {
            let row = rows.iter().find(|(known, ..)| *known == name);
            let fits = |state: &str, said: &str| states.contains(&state) && said.starts_with(note);
            assert!(
                row.is_some_and(|(_, state, said)| fits(state, said)),
                "docs/compatibility.md has no row like this in its table \"{title}\":\n| `{name}` | {} | {note} |",
                states.join(" or "),
            );
        }
        let [rows, expected] =
            [rows.iter().map(|row| row.0).collect::<Vec<_>>(), expected.iter().map(|row| row.0).collect()];
        assert_eq!(rows, expected, "the table \"{title}\" of docs/compatibility.md, and the order in the code");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_on_compatibility_has_the_arguments_of_exchanges_bindings_and_consumers() {
        for (title, names) in [
            ("exchange argument", &EXCHANGE_ARGUMENTS.map(|argument| argument.name)[..]),
            ("binding argument", &BINDING_ARGUMENTS),
            ("consumer argument", &CONSUMER_ARGUMENTS.map(|argument| argument.name)),
        ] {
            page::check(title, &names.iter().map(|name| (*name, &["yes", "differs"][..], "")).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_interface_has_a_field_for_each_argument() {
        const TEXT: Text = Text::new().interface("Consumers", "Of consumers.", &CONSUMER_ARGUMENTS);
        let text = "\n/** Of consumers. */\nexport interface Consumers {\n  /** Consumers of a higher priority are \
                    served first. */\n  \"x-priority\"?: number | undefined;\n}\n";
        assert_eq!(TEXT.as_str(), text);
    }
}
