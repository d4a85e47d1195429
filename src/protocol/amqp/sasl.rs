//! Sasl: who a peer says it is.
//!
//! ```text
//! PLAIN       | identity (ignored) | 0 | user | 0 | password |
//! AMQPLAIN    the entries of a table with LOGIN and PASSWORD
//! ```

use super::reply::{Refusal, ReplyCode};
use crate::table::{Table, Value};

/// The mechanisms that we know, as a list that peers choose from.
pub(crate) const MECHANISMS: &str = "PLAIN AMQPLAIN";

/// The only user, and only for peers on this machine: there is nothing to guard a remote one with yet.
const USER: &str = "guest";
const PASSWORD: &str = "guest";

struct Credentials {
    user: Box<[u8]>,
    password: Box<[u8]>,
}

/// Checks who a peer is. The outer error is a response that cannot be understood, the inner one says why nobody may
/// log in with it.
pub(crate) fn log_in(
    mechanism: &str,
    response: &[u8],
    loopback: bool,
) -> Result<Result<&'static str, Refusal>, Refusal> {
    let Credentials { user, password } = credentials(mechanism, response)?;
    let reason = if (&*user, &*password) != (USER.as_bytes(), PASSWORD.as_bytes()) {
        "user and password do not match"
    } else if !loopback {
        "user 'guest' can only connect via localhost"
    } else {
        return Ok(Ok(USER));
    };
    let text = format_args!("Login was refused using authentication mechanism {mechanism}: {reason}");
    Ok(Err(Refusal::new(ReplyCode::AccessRefused, text)))
}

fn credentials(mechanism: &str, response: &[u8]) -> Result<Credentials, Refusal> {
    let found = match mechanism {
        "PLAIN" => plain(response),
        "AMQPLAIN" => amqplain(response),
        _ => {
            let text = format_args!("unknown authentication mechanism '{mechanism}'");
            return Err(Refusal::new(ReplyCode::CommandInvalid, text));
        }
    };
    found.ok_or_else(|| Refusal::new(ReplyCode::SyntaxError, format_args!("{mechanism} response is malformed")))
}

fn plain(response: &[u8]) -> Option<Credentials> {
    let mut parts = response.split(|&octet| octet == 0).skip(1);
    let credentials = Credentials { user: parts.next()?.into(), password: parts.next()?.into() };
    parts.next().is_none().then_some(credentials)
}

fn amqplain(response: &[u8]) -> Option<Credentials> {
    let table = Table::decode(response).ok()?;
    let text = |key| match table.get(key) {
        Some(Value::Text(bytes)) => Some(bytes.clone()),
        _ => None,
    };
    Some(Credentials { user: text("LOGIN")?, password: text("PASSWORD")? })
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
    fn both_mechanisms_let_guest_in_from_this_machine() {
        assert_eq!(log_in("PLAIN", b"\0guest\0guest", true), Ok(Ok("guest")));
        assert_eq!(log_in("AMQPLAIN", &amqplain_response("guest", "guest"), true), Ok(Ok("guest")));
    }

    #[test]
    fn nobody_else_gets_in() {
        let text = |response: &[u8], loopback| log_in("PLAIN", response, loopback).unwrap().unwrap_err().to_string();
        let refused = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN: ";
        assert_eq!(text(b"\0guest\0x", true), format!("{refused}user and password do not match"));
        assert_eq!(text(b"\0x\0guest", true), format!("{refused}user and password do not match"));
        assert_eq!(text(b"\0guest\0guest", false), format!("{refused}user 'guest' can only connect via localhost"));
    }

    #[test]
    fn what_is_not_understood_is_told_apart() {
        let code = |mechanism, response: &[u8]| log_in(mechanism, response, true).unwrap_err().code;
        assert_eq!(code("EXTERNAL", b""), ReplyCode::CommandInvalid);
        for malformed in [&b""[..], b"guest", b"\0guest", b"\0guest\0guest\0"] {
            assert_eq!(code("PLAIN", malformed), ReplyCode::SyntaxError);
        }
        assert_eq!(code("AMQPLAIN", b"\0guest\0guest"), ReplyCode::SyntaxError);
        assert_eq!(code("AMQPLAIN", b""), ReplyCode::SyntaxError);
    }
}
