//! Sasl: the login of a peer.
//!
//! ```text
//! PLAIN       | identity (ignored) | 0 | user | 0 | password |
//! AMQPLAIN    the entries of a table with LOGIN and PASSWORD
//! EXTERNAL    (ignored): the name is in the certificate, and without one this is refused
//! ANONYMOUS   (ignored): the user guest, with its usual password
//! ```
//!
//! A peer may choose only from the mechanisms that its host [offers](super::Peer::mechanisms).

use super::Peer;
use super::reply::{Refusal, ReplyCode};
use crate::table::{Table, Value};

const PLAIN: &str = "PLAIN";
const AMQPLAIN: &str = "AMQPLAIN";
const EXTERNAL: &str = "EXTERNAL";
const ANONYMOUS: &str = "ANONYMOUS";
const GUEST: &str = "guest";

/// Returns the mechanisms that a peer may choose from, separated by spaces.
pub(crate) fn mechanisms(peer: &Peer) -> &str {
    peer.mechanisms.as_deref().unwrap_or("PLAIN AMQPLAIN")
}

/// Proof of a peer's identity.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    Password {
        user: Box<str>,
        password: Box<str>,
    },
    /// The transport has verified a certificate of this name.
    Certificate(Box<str>),
}

/// Reads the credentials from a peer's response.
pub(crate) fn credentials(
    mechanism: &str,
    response: &[u8],
    peer: &Peer,
) -> Result<(&'static str, Credentials), Refusal> {
    let is_offered = mechanisms(peer).split(' ').any(|offered| offered == mechanism);
    let (mechanism, found) = match (mechanism, &peer.certificate_name) {
        (PLAIN, _) if is_offered => (PLAIN, plain(response)),
        (AMQPLAIN, _) if is_offered => (AMQPLAIN, amqplain(response)),
        (EXTERNAL, Some(name)) if is_offered => (EXTERNAL, Some(Credentials::Certificate(name.clone()))),
        (ANONYMOUS, _) if is_offered => (ANONYMOUS, password(GUEST.as_bytes(), GUEST.as_bytes())),
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

    fn peer(mechanisms: &str, certificate_name: Option<&str>) -> Peer {
        let certificate_name = certificate_name.map(Box::from);
        Peer { mechanisms: Some(mechanisms.into()), certificate_name, ..Peer::default() }
    }

    fn password_of(user: &str, password: &str) -> Credentials {
        Credentials::Password { user: user.into(), password: password.into() }
    }

    #[test]
    fn each_mechanism_names_its_user() {
        let plain = credentials("PLAIN", b"ignored\0me\0secret", &Peer::default());
        assert_eq!(plain, Ok((PLAIN, password_of("me", "secret"))));
        let amqplain = credentials("AMQPLAIN", &amqplain_response("me", "secret"), &Peer::default());
        assert_eq!(amqplain, Ok((AMQPLAIN, password_of("me", "secret"))));
        let external = credentials("EXTERNAL", b"", &peer("EXTERNAL", Some("CN=me")));
        assert_eq!(external, Ok((EXTERNAL, Credentials::Certificate("CN=me".into()))));
        let anonymous = credentials("ANONYMOUS", b"anybody", &peer("PLAIN ANONYMOUS", None));
        assert_eq!(anonymous, Ok((ANONYMOUS, password_of("guest", "guest"))));
    }

    #[test]
    fn a_mechanism_that_is_not_offered_is_refused() {
        let certified = Peer { certificate_name: Some("me".into()), ..Peer::default() };
        let responses = [("EXTERNAL", &b""[..]), ("ANONYMOUS", b"")];
        for (mechanism, response) in responses {
            let refusal = credentials(mechanism, response, &certified).unwrap_err();
            assert_eq!(refusal.code, ReplyCode::CommandInvalid, "{mechanism}");
        }
        let refusal = credentials("PLAIN", b"\0me\0secret", &peer("EXTERNAL", Some("me"))).unwrap_err();
        assert_eq!(refusal.code, ReplyCode::CommandInvalid);
    }

    #[test]
    fn what_is_not_understood_is_told_apart() {
        let code = |mechanism, response: &[u8]| {
            credentials(mechanism, response, &peer("PLAIN AMQPLAIN EXTERNAL", None)).unwrap_err().code
        };
        assert_eq!(code("EXTERNAL", b""), ReplyCode::CommandInvalid, "without a certificate");
        assert_eq!(code("GSSAPI", b""), ReplyCode::CommandInvalid);
        for malformed in [&b""[..], b"guest", b"\0guest", b"\0guest\0guest\0", b"\0guest\0\xff"] {
            assert_eq!(code("PLAIN", malformed), ReplyCode::SyntaxError);
        }
        assert_eq!(code("AMQPLAIN", b"\0guest\0guest"), ReplyCode::SyntaxError);
        assert_eq!(code("AMQPLAIN", b""), ReplyCode::SyntaxError);
    }
}
