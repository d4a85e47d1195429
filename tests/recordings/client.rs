//! Client: a real one, amqplib, that talks with a recorded server over TCP.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::spawn;
use std::time::{Duration, Instant};

use pocketmq::broker::Config;
use pocketmq::id::TransportId;
use pocketmq::journal::Options;
use pocketmq::limits::Limits;
use pocketmq::protocol::Peer;
use pocketmq::recording::Recording;
use pocketmq::server::Server;

use super::store::Bytes;
use super::{Output, check_same};

/// More than the whole session takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Something that happened outside of the server.
enum Event {
    Opened(TcpStream),
    Received(usize, Vec<u8>),
    Closed(usize),
    /// The client has ended; whether it was content.
    Ended(bool),
}

/// Accepts connections until the test ends.
fn accept(listener: TcpListener, events: Sender<Event>) {
    spawn(move || listener.incoming().flatten().try_for_each(|stream| events.send(Event::Opened(stream))));
}

/// Reads a connection to its end.
fn read(mut stream: TcpStream, number: usize, events: Sender<Event>) {
    spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            events.send(Event::Received(number, buffer[..length].to_vec()))?;
        }
        events.send(Event::Closed(number))
    });
}

/// A host with sockets, and a clock.
struct Host {
    server: Server,
    began: Instant,
    sockets: BTreeMap<TransportId, TcpStream>,
    /// The ids of connections by their order.
    ids: Vec<TransportId>,
    output: Output,
}

impl Host {
    fn turn(&mut self) {
        loop {
            self.server.turn(self.began.elapsed().as_millis() as u64);
            while let Some(id) = self.server.next_output() {
                self.write(id);
            }
            if self.server.wants_flush() {
                let mark = self.server.start_flush();
                self.server.flushed(mark);
            } else if !self.server.wants_turn() {
                return;
            }
        }
    }

    fn write(&mut self, id: TransportId) {
        let bytes = self.server.output(id).to_vec();
        if !bytes.is_empty() {
            // A client that is gone is noticed by its reader.
            _ = (&self.sockets[&id]).write_all(&bytes);
            self.server.output_taken(id, bytes.len());
            self.output.entry(id).or_default().extend(bytes);
        }
        if self.server.is_closed(id) {
            _ = self.sockets[&id].shutdown(Shutdown::Write);
        }
    }
}

/// Serves a session of the client; returns the output.
fn serve(server: Server, script: &Path) -> Output {
    let (events, happened) = channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    accept(listener, events.clone());
    let mut client = Command::new("node").arg(script).arg(port.to_string()).spawn().expect("node is installed");
    let ended = events.clone();
    let waiting = spawn(move || ended.send(Event::Ended(client.wait().is_ok_and(|status| status.success()))));
    let (sockets, ids, output) = (BTreeMap::new(), Vec::new(), Output::new());
    let mut host = Host { server, began: Instant::now(), sockets, ids, output };
    host.turn();
    loop {
        match happened.recv_timeout(PATIENCE).expect("the session ends") {
            Event::Opened(stream) => {
                let id = host.server.connect_amqp(Peer { loopback: true, ..Peer::default() });
                read(stream.try_clone().unwrap(), host.ids.len(), events.clone());
                host.sockets.insert(id, stream);
                host.ids.push(id);
            }
            Event::Received(number, bytes) => host.server.receive(host.ids[number], &bytes),
            Event::Closed(number) => host.server.disconnected(host.ids[number]),
            Event::Ended(is_content) => {
                assert!(is_content, "the client has failed");
                break;
            }
        }
        host.turn();
    }
    waiting.join().unwrap().unwrap();
    host.output
}

#[test]
fn a_session_of_amqplib_is_replayed_byte_for_byte() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join("node_modules").exists() {
        return println!("no npm packages are installed: `npm start` does that");
    }
    let config = Config { seed: [7; 32], limits: Limits::default() };
    let (opened, recording) = Recording::open(config, Box::new(Bytes::default()), &Options::default(), 0);
    let output = serve(opened.unwrap().0, &root.join("tests/recordings/session.mjs"));
    check_same(&recording.take(), &output);
}
