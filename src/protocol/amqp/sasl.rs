//! Sasl: who a peer says it is.
//!
//! ```text
//! PLAIN       | identity (ignored) | 0 | user | 0 | password |
//! AMQPLAIN    the entries of a table with LOGIN and PASSWORD
//! EXTERNAL    (ignored): the certificate says it, and without one this is not offered
//! ```

use super::reply::{Refusal, ReplyCode};
use crate::table::{Table, Value};

const PLAIN: &str = "PLAIN";
const AMQPLAIN: &str = "AMQPLAIN";
const EXTERNAL: &str = "EXTERNAL";

/// The mechanisms that a peer may choose from.
pub(crate) fn mechanisms(has_certificate: bool) -> &'static str {
    if has_certificate { "PLAIN AMQPLAIN EXTERNAL" } else { "PLAIN AMQPLAIN" }
}

/// By what a peer shows who it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    Password {
        user: Box<str>,
        password: Box<str>,
    },
    /// The transport has verified a certificate of this name.
    Certificate(Box<str>),
}

/// What a peer's response says, and by which mechanism.
pub(crate) fn credentials(
    mechanism: &str,
    response: &[u8],
    certificate_name: Option<&str>,
) -> Result<(&'static str, Credentials), Refusal> {
    let (mechanism, found) = match (mechanism, certificate_name) {
        (PLAIN, _) => (PLAIN, plain(response)),
        (AMQPLAIN, _) => (AMQPLAIN, amqplain(response)),
        (EXTERNAL, Some(name)) => (EXTERNAL, Some(Credentials::Certificate(name.into()))),
        _ => {
            let text = format_args!("unknown authentication mechanism '{mechanism}'");
            return Err(Refusal::new(ReplyCode::CommandInvalid, text));
        }
    };
    let malformed = || Refusal::new(ReplyCode::SyntaxError, format_args!("{mechanism} response is malformed"));
    found.map(|credentials| (mechanism, credentials)).ok_or_else(malformed)
}

fn password(user: &[u8], password: &[u8]) -> Option<Credentials> {
    let text = |bytes| std::str::from_utf8(bytes).ok().map(Box::from);
    Some(Credentials::Password { user: text(user)?, password: text(password)? })
}

fn plain(response: &[u8]) -> Option<Credentials> {
    let mut parts = response.split(|&octet| octet == 0).skip(1);
    let credentials = password(parts.next()?, parts.next()?);
    credentials.filter(|_| parts.next().is_none())
}

fn amqplain(response: &[u8]) -> Option<Credentials> {
    let table = Table::decode(response).ok()?;
    let text = |key| match table.get(key) {
        Some(Value::Text(bytes)) => Some(bytes),
        _ => None,
    };
    password(text("LOGIN")?, text("PASSWORD")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amqplain_response(user: &str, password: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let table: Table = [("LOGIN", user), ("PASSWORD", password)].into_iter().collect();
        table.encode(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn each_mechanism_names_its_user() {
        let password = || Credentials::Password { user: "me".into(), password: "secret".into() };
        assert_eq!(credentials("PLAIN", b"ignored\0me\0secret", None), Ok((PLAIN, password())));
        let response = amqplain_response("me", "secret");
        assert_eq!(credentials("AMQPLAIN", &response, None), Ok((AMQPLAIN, password())));
        let external = Credentials::Certificate("CN=me".into());
        assert_eq!(credentials("EXTERNAL", b"", Some("CN=me")), Ok((EXTERNAL, external)));
    }

    #[test]
    fn what_is_not_understood_is_told_apart() {
        let code = |mechanism, response: &[u8]| credentials(mechanism, response, None).unwrap_err().code;
        assert_eq!(code("EXTERNAL", b""), ReplyCode::CommandInvalid, "without a certificate");
        assert_eq!(code("GSSAPI", b""), ReplyCode::CommandInvalid);
        for malformed in [&b""[..], b"guest", b"\0guest", b"\0guest\0guest\0", b"\0guest\0\xff"] {
            assert_eq!(code("PLAIN", malformed), ReplyCode::SyntaxError);
        }
        assert_eq!(code("AMQPLAIN", b"\0guest\0guest"), ReplyCode::SyntaxError);
        assert_eq!(code("AMQPLAIN", b""), ReplyCode::SyntaxError);
    }
}
