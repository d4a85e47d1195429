//! Access: logins, and users with restricted permissions.

use super::*;
use crate::peer::*;
use pocketmq::access::{Access, Limited, Permission};
use pocketmq::limits::Limits;
use pocketmq::protocol::Peer;
use wasm_bindgen_test::wasm_bindgen_test;

/// Users whose passwords are their names. `guest` may do everything; the others may configure names that begin with
/// `c`, write to those with `w`, and read those with `r`; and only in `/`.
#[derive(Debug, Default)]
struct Users;

impl Access for Users {
    fn log_in(&mut self, user: &str, password: &str, _: bool) -> Option<Box<str>> {
        (user == password).then(|| user.into())
    }

    fn log_in_by_certificate(&mut self, name: &str) -> Option<Box<str>> {
        name.strip_prefix("CN=").map(Box::from)
    }

    fn may_enter(&mut self, user: &str, virtual_host: &str) -> bool {
        user == "guest" || virtual_host == "/"
    }

    fn permits_all(&mut self, user: &str, _: &str) -> bool {
        user == "guest"
    }

    fn permits(&mut self, _: &str, _: &str, permission: Permission, name: &str) -> bool {
        name.starts_with(match permission {
            Permission::Configure => 'c',
            Permission::Write => 'w',
            Permission::Read => 'r',
        })
    }

    fn may_impersonate(&mut self, user: &str) -> bool {
        user == "w"
    }

    fn update_secret(&mut self, _: &str, secret: &str) -> bool {
        secret == "better"
    }
}

/// Denies everything.
#[derive(Debug)]
struct DenyAll;

impl Access for DenyAll {
    fn log_in(&mut self, _: &str, _: &str, _: bool) -> Option<Box<str>> {
        None
    }

    fn log_in_by_certificate(&mut self, _: &str) -> Option<Box<str>> {
        None
    }

    fn may_enter(&mut self, _: &str, _: &str) -> bool {
        false
    }

    fn permits_all(&mut self, _: &str, _: &str) -> bool {
        false
    }

    fn permits(&mut self, _: &str, _: &str, _: Permission, _: &str) -> bool {
        false
    }

    fn update_secret(&mut self, _: &str, _: &str) -> bool {
        false
    }
}

/// Connects `guest`, and then `user`, whose connection is the current one.
fn limited() -> Client {
    let mut client = Client::ready();
    client.server.set_access(Box::new(Users));
    client.join("user", "/", &[]);
    client
}

fn exchange(name: &str, arguments: &[u8]) -> Call {
    call(40, 10).short(0).text(name).text("topic").octet(0).bytes(arguments)
}

fn bind(queue: &str, exchange: &str) -> Call {
    call(50, 20).short(0).text(queue).text(exchange).text("k").octet(0).bytes(b"")
}

fn bind_exchange(destination: &str, source: &str) -> Call {
    call(40, 30).short(0).text(destination).text(source).text("k").octet(0).bytes(b"")
}

#[wasm_bindgen_test(unsupported = test)]
fn a_certificate_logs_in_only_where_that_is_offered() {
    let mut client = Client::connect(Limits::default(), true);
    client.server.set_access(Box::new(Users));
    let certified = |name: &str| Peer { certificate_name: Some(name.into()), ..Peer::default() };
    client.id = client.server.connect_amqp(certified("CN=user"));
    let start = client.ask(HEADER);
    assert!(contains(&start[0].payload, "PLAIN AMQPLAIN") && !contains(&start[0].payload, "EXTERNAL"));
    check(&client.ask(&start_ok("EXTERNAL", b"", &[]).on(0))[0], (503, "COMMAND_INVALID - unknown auth", (10, 11)));

    for (name, answer) in [("CN=user", (10, 30)), ("nobody", CLOSE_CONNECTION)] {
        let mechanisms = Some("PLAIN EXTERNAL".into());
        client.id = client.server.connect_amqp(Peer { mechanisms, ..certified(name) });
        let start = client.ask(HEADER);
        assert!(contains(&start[0].payload, "PLAIN EXTERNAL") && !contains(&start[0].payload, "AMQPLAIN"));
        let answers = client.ask(&start_ok("EXTERNAL", b"", &["authentication_failure_close"]).on(0));
        assert_eq!(ids(&answers), [answer]);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_virtual_host_may_be_forbidden() {
    let mut client = limited();
    client.server.add_virtual_host("other");
    let refused = "NOT_ALLOWED - access to vhost 'other' refused for user 'user'";
    for (virtual_host, text) in [("other", refused), ("missing", "NOT_ALLOWED - vhost missing not found")] {
        client.id = client.server.connect_amqp(Peer::default());
        client.ask(&[HEADER, &start_ok("PLAIN", b"\0user\0user", &[]).on(0), &tune_ok(0, 0, 0).on(0)].concat());
        assert_eq!(client.ask(&open(virtual_host).on(0))[0].refusal(), (530, text, (10, 40)));
    }
    client.join("guest", "other", &[]);
}

#[wasm_bindgen_test(unsupported = test)]
fn each_method_needs_its_permissions() {
    let dead_letter = |to: &str| [text_entry("x-dead-letter-exchange", to)];
    let alternate = text_entry("alternate-exchange", "w").octets();
    let cases = [
        (declare_queue("q", 0), "queue 'q'"),
        (declare_queue_with("c2", 0, &dead_letter("w")), "queue 'c2'"),
        (call(50, 40).short(0).text("q").octet(0), "queue 'q'"),
        (call(50, 40).short(0).text("missing").octet(0), "queue 'missing'"),
        (call(50, 30).short(0).text("w").octet(0), "queue 'w'"),
        (get("w", true), "queue 'w'"),
        (consume("w", "", 0), "queue 'w'"),
        (bind("r", "r"), "queue 'r'"),
        (bind("w", "w"), "exchange 'w'"),
        (call(50, 50).short(0).text("r").text("r").text("k").bytes(b""), "queue 'r'"),
        (exchange("x", b""), "exchange 'x'"),
        (exchange("c2", &alternate), "exchange 'c2'"),
        (call(40, 20).short(0).text("x").octet(0), "exchange 'x'"),
        (bind_exchange("r", "r"), "exchange 'r'"),
        (bind_exchange("w", "w"), "exchange 'w'"),
        (bind_exchange("", "r"), "exchange 'amq.default'"),
    ];
    for (request, what) in cases {
        let mut client = limited();
        let answers = client.ask(&request.on(1));
        let text = format!("ACCESS_REFUSED - access to {what} in vhost '/' refused for user 'user'");
        let (code, reply, _) = answers[0].refusal();
        assert_eq!((code, reply), (403, &*text));
        assert!(client.server.broker().report().queues.is_empty());
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn permitted_methods_work() {
    let mut client = limited();
    let allowed = [
        (declare_queue("c", 0), (50, 11)),
        (declare_queue("c", 1), (50, 11)),
        (exchange("c", b""), (40, 11)),
        (call(40, 20).short(0).text("c").octet(0), (40, 21)),
        (call(50, 40).short(0).text("c").octet(0), (50, 41)),
    ];
    for (request, answer) in allowed {
        assert_eq!(ids(&client.ask(&request.on(1))), [answer]);
    }
    let user = client.join("guest", "/", &[]);
    client.ask(&[declare_queue("r", 0).on(1), declare_queue("w", 0).on(1), exchange("r", b"").on(1)].concat());
    client.id = user;
    let allowed = [
        (declare_queue("r", 1), (50, 11)),
        (get("r", true), (60, 72)),
        (consume("", "mine", 0), (60, 21)),
        (bind("w", "r"), (50, 21)),
        (consume("amq.rabbitmq.reply-to", "", 2), (60, 21)),
    ];
    for (request, answer) in allowed {
        assert_eq!(ids(&client.ask(&request.on(1))), [answer]);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_queue_with_a_generated_name_is_checked_by_that_name() {
    let mut client = limited();
    let refused = client.ask(&declare_queue("", 0).on(1));
    let (code, text, _) = refused[0].refusal();
    assert!(code == 403 && text.starts_with("ACCESS_REFUSED - access to queue 'amq.gen-"), "{text}");
    assert!(client.server.broker().report().queues.is_empty(), "it has not come to be");
}

#[wasm_bindgen_test(unsupported = test)]
fn publishing_to_the_default_exchange_needs_write_permission() {
    for (exchange, name) in [("", "amq.default"), ("r", "r"), ("missing", "missing")] {
        let mut client = limited();
        let message = [publish_method(exchange, "q", 0).on(1), frame(2, 1, &content_header(0, &[0, 0]))].concat();
        let text = format!("ACCESS_REFUSED - access to exchange '{name}' in vhost '/' refused for user 'user'");
        assert_eq!(client.ask(&message)[0].refusal(), (403, &*text, (60, 40)));
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_revoked_permission_is_refused_at_once() {
    let mut client = limited();
    client.ask(&[declare_queue("c", 0).on(1), declare_queue("c", 0).on(1)].concat());
    client.server.set_access(Box::new(DenyAll));
    let refused = client.ask(&declare_queue("c", 0).on(1));
    check(&refused[0], (403, "ACCESS_REFUSED - access to queue 'c' in vhost '/' refused", (50, 10)));
}

#[wasm_bindgen_test(unsupported = test)]
fn a_new_secret_is_for_the_host_to_judge() {
    let update = |secret: &[u8]| call(10, 70).bytes(secret).text("it is time").on(0);
    let mut client = limited();
    assert_eq!(ids(&client.ask(&update(b"better"))), [(10, 71)]);
    check(&client.ask(&update(b"worse"))[0], (530, "NOT_ALLOWED - New secret was refused", (10, 70)));
}

/// Allows each user two connections and two channels.
#[derive(Debug)]
struct Two;

impl Access for Two {
    fn log_in(&mut self, user: &str, _: &str, _: bool) -> Option<Box<str>> {
        Some(user.into())
    }

    fn log_in_by_certificate(&mut self, _: &str) -> Option<Box<str>> {
        None
    }

    fn may_enter(&mut self, _: &str, _: &str) -> bool {
        true
    }

    fn permits_all(&mut self, _: &str, _: &str) -> bool {
        true
    }

    fn permits(&mut self, _: &str, _: &str, _: Permission, _: &str) -> bool {
        true
    }

    fn limit(&mut self, _: &str, _: Limited) -> Option<usize> {
        Some(2)
    }

    fn update_secret(&mut self, _: &str, _: &str) -> bool {
        true
    }
}

/// Returns the refusal that a user gets who opens a connection to a virtual host.
fn refused_at_opening(client: &mut Client, user: &str, virtual_host: &str) -> String {
    client.id = client.server.connect_amqp(Peer::default());
    let response = format!("\0{user}\0{user}");
    client.ask(&[HEADER, &start_ok("PLAIN", response.as_bytes(), &[]).on(0), &tune_ok(0, 0, 0).on(0)].concat());
    let answers = client.ask(&open(virtual_host).on(0));
    let (code, text, method) = answers[0].refusal();
    assert_eq!((code, method), (530, (10, 40)));
    text.into()
}

#[wasm_bindgen_test(unsupported = test)]
fn users_and_virtual_hosts_have_limits_of_connections_and_channels() {
    let mut client = Client::ready();
    client.server.set_access(Box::new(Two));
    client.server.add_virtual_host("v");
    client.server.limit_virtual_host("v", Some(1), Some(1), false);
    client.join("user", "v", &[]);
    let full = "NOT_ALLOWED - access to vhost 'v' refused for user 'user': connection limit (1) is reached";
    assert_eq!(refused_at_opening(&mut client, "user", "v"), full);
    client.join("user", "/", &[]);
    let full = "NOT_ALLOWED - connection refused for user 'user': user connection limit (2) is reached";
    assert_eq!(refused_at_opening(&mut client, "user", "/"), full);
    client.join("other", "/", &[]);
    // `join` has opened channel 1.
    client.ask(&open_channel().on(2));
    let text =
        "NOT_ALLOWED - number of channels opened for user 'other' has reached the maximum allowed user limit of (2)";
    check(&client.ask(&open_channel().on(3))[0], (530, text, (20, 10)));
}

#[wasm_bindgen_test(unsupported = test)]
fn a_virtual_host_has_a_limit_of_queues() {
    let mut client = Client::ready();
    client.server.limit_virtual_host("/", None, Some(1), false);
    client.ask(&declare_queue("a", 0).on(1));
    client.ask(&declare_queue("a", 0).on(1));
    let text = "PRECONDITION_FAILED - cannot declare queue 'b': queue limit in vhost '/' (1) is reached";
    check(&client.ask(&declare_queue("b", 0).on(1))[0], (406, text, (50, 10)));
}

#[wasm_bindgen_test(unsupported = test)]
fn an_impersonator_publishes_with_the_user_id_of_another() {
    let publish = |channel| {
        let user_id = [0, 16, 5, b'a', b'd', b'm', b'i', b'n'];
        [publish_method("w", "", 0).on(channel), frame(2, channel, &content_header(0, &user_id))].concat()
    };
    let mut client = Client::connect(Limits::default(), true);
    client.server.set_access(Box::new(Users));
    for (user, code) in [("guest", Some(406)), ("w", None)] {
        client.join(user, "/", &[]);
        let declare = call(40, 10).short(0).text("w").text("fanout").octet(0).bytes(b"");
        if user == "guest" {
            client.ask(&declare.on(1));
        }
        let answers = client.ask(&publish(1));
        assert_eq!(answers.first().map(|answer| answer.refusal().0), code, "{user}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn line_ends_in_names_do_not_evade_permissions() {
    let mut client = Client::connect(Limits::default(), true);
    client.server.set_access(Box::new(Users));
    client.join("guest", "/", &[]);
    client.ask(&declare_queue("secret", 0).on(1));
    client.join("c", "/", &[]);
    for request in
        [declare_queue("\nsecret", 0), call(50, 40).short(0).text("\r\nsecret").octet(0), declare_queue("\ncq", 0)]
    {
        client.ask(&open_channel().on(2));
        let answer = client.ask(&request.on(2));
        match answer[0].id() {
            (50, 11) => assert_eq!(answer[0].text_at(4), "cq"),
            _ => assert_eq!(answer[0].refusal().0, 403),
        }
        client.ask(&close_channel_ok().on(2));
    }
}
