//! Answers: the server's replies to a client, and their promises.

use super::{Delivered, World};
use crate::client::{Content, Expected, Unconfirmed};
use crate::ledger::{Checked, Place, violation};
use crate::peer::{self, Answer, answers};
use crate::timeline::Turn;
use crate::topology::QUEUES;

const GOT: (u16, u16) = (60, 71);
const GOT_NOTHING: (u16, u16) = (60, 72);
const DECLARED: (u16, u16) = (50, 11);
const CONSUMES: (u16, u16) = (60, 21);
const CANCELLED: (u16, u16) = (60, 31);

impl World {
    /// A client reads the server's output.
    pub(super) fn receive(&mut self, client: usize, bytes: &[u8], delivered: &mut Vec<Delivered>) -> Checked {
        for answer in answers(bytes) {
            match (answer.kind, answer.channel) {
                (1, 0) => self.receive_connection(client, &answer)?,
                // It was sent before the channel closed.
                (_, number) if !self.is_open(client, number) => {}
                (1, _) => self.receive_method(client, &answer, delivered)?,
                _ => self.receive_content(client, &answer, delivered),
            }
        }
        Ok(())
    }

    fn receive_connection(&mut self, client: usize, answer: &Answer) -> Checked {
        match answer.id() {
            // The store has failed: the change cannot be made durable.
            (10, 50) if self.has_failed() && answer.refusal().0 == 541 => {
                self.send(client, &peer::close_connection_ok().on(0));
                self.leave(client);
                Ok(())
            }
            (10, 50) => violation(format!("a connection was closed: {:?}", answer.refusal())),
            _ => Ok(()),
        }
    }

    /// A reply promises that everything up to this turn is durable.
    fn promise(&mut self, client: usize, turn: Turn) -> Checked {
        self.has_promised |= !self.ledger(client).is_promised(turn);
        self.ledger(client).promise(turn)
    }

    pub fn is_open(&self, client: usize, number: u16) -> bool {
        self.clients[client].channels.iter().any(|channel| channel.number == number)
    }

    fn receive_content(&mut self, client: usize, answer: &Answer, delivered: &mut Vec<Delivered>) {
        let channel = self.channel(client, answer.channel);
        let Some(mut content) = channel.arriving.take() else { return };
        if content.take(answer) {
            delivered.push(Delivered { client, channel: answer.channel, content });
        } else {
            channel.arriving = Some(content);
        }
    }

    fn receive_method(&mut self, client: usize, answer: &Answer, delivered: &mut Vec<Delivered>) -> Checked {
        let number = answer.channel;
        match answer.id() {
            (60, 60) => self.receive_delivery(client, answer),
            (60, 80) => self.confirmed(client, number, answer, true),
            (60, 120) => self.confirmed(client, number, answer, false),
            (60, 30) => {
                let tag = answer.text_at(4).to_owned();
                self.channel(client, number).consumers.retain(|consumer| consumer.tag != tag);
                Ok(())
            }
            (20, 40) => self.refused(client, answer, delivered),
            _ => self.answered(client, answer),
        }
    }

    fn receive_delivery(&mut self, client: usize, answer: &Answer) -> Checked {
        let mut content = Content::of(answer);
        let tag = content.consumer.clone().unwrap_or_default();
        let channel = self.channel(client, answer.channel);
        let Some(consumer) = channel.consumer_mut(&tag) else {
            return violation(format!("a delivery for the unknown consumer {tag}"));
        };
        if !consumer.is_known {
            return violation(format!("a delivery before the consume-ok of {tag}"));
        }
        (content.queue, content.no_ack) = (consumer.queue, consumer.no_ack);
        channel.begin(content)
    }

    /// The reply to the oldest request on the channel.
    fn answered(&mut self, client: usize, answer: &Answer) -> Checked {
        let channel = self.channel(client, answer.channel);
        let Some(awaited) = channel.take_awaited() else {
            return violation(format!("nobody asked for {answer:?}"));
        };
        let id = answer.id();
        match awaited.expected {
            Expected::Answer(expected) if expected == id => {
                if id == CANCELLED {
                    channel.consumers.retain(|consumer| consumer.tag != answer.text_at(4));
                }
                let consumer = if id == CONSUMES { channel.consumer_mut(answer.text_at(4)) } else { None };
                consumer.into_iter().for_each(|consumer| consumer.is_known = true);
            }
            Expected::Count(expected, least, most) if expected == id => {
                let count = count_in(answer);
                if !(least..=most).contains(&count) {
                    self.trace(|world| world.describe(client));
                    return violation(format!("{count} messages instead of {least} to {most}: {answer:?}"));
                }
            }
            Expected::Got { queue, no_ack } if id == GOT => {
                channel.begin(Content { queue, no_ack, ..Content::of(answer) })?;
            }
            Expected::Got { queue, .. } if id == GOT_NOTHING => {
                let clock = self.clock;
                // Messages that wait for their slot cannot be got.
                let queues = Some(queue).filter(|&queue| QUEUES[queue].partitions.is_none());
                self.ledger(client).check_nobody_waits(queues.into_iter(), clock)?;
            }
            Expected::Grown if id == DECLARED => {}
            expected => return violation(format!("{answer:?} instead of {expected:?}")),
        }
        self.promise(client, awaited.rests_on)
    }

    fn refused(&mut self, client: usize, answer: &Answer, delivered: &mut Vec<Delivered>) -> Checked {
        let (code, text, _) = answer.refusal();
        let number = answer.channel;
        let first = self.channel(client, number).take_awaited();
        match (code, first.as_ref().map(|awaited| &awaited.expected)) {
            (404, Some(Expected::NotFound)) | (406, Some(Expected::Grown)) => {}
            _ => return violation(format!("a channel was closed: {code} {text}")),
        }
        self.promise(client, first.map_or(0, |awaited| awaited.rests_on))?;
        delivered.retain(|each| (each.client, each.channel) != (client, number));
        self.send(client, &peer::close_channel_ok().on(number));
        self.leave_channel(client, number);
        Ok(())
    }

    /// Messages are confirmed, or refused.
    fn confirmed(&mut self, client: usize, number: u16, answer: &Answer, is_confirmed: bool) -> Checked {
        let (tag, is_multiple) = (answer.longlong_at(4), answer.payload[12] & 1 == 1);
        let unconfirmed = &mut self.channel(client, number).unconfirmed;
        let first = if is_multiple { 0 } else { tag };
        let tags: Vec<_> = unconfirmed.range(first..=tag).map(|(tag, _)| *tag).collect();
        if !tags.contains(&tag) {
            return violation(format!("the message {tag} was confirmed before, or never sent"));
        }
        let unconfirmed: Vec<_> = tags.iter().filter_map(|tag| unconfirmed.remove(tag)).collect();
        unconfirmed.iter().try_for_each(|unconfirmed| match is_confirmed {
            true => self.note_confirmed(client, unconfirmed),
            false => self.note_refused(client, unconfirmed),
        })
    }

    fn note_confirmed(&mut self, client: usize, unconfirmed: &Unconfirmed) -> Checked {
        self.clients[client].publisher.unconfirmed.retain(|message| message.id != unconfirmed.message.id);
        self.promise(client, unconfirmed.rests_on.max(unconfirmed.caused))?;
        let ledger = self.ledger(client);
        for &token in &unconfirmed.tokens {
            let token = &mut ledger.tokens[token];
            if token.states.observe(|state| state.place != Place::Unborn).is_none() {
                return violation(format!("confirmed, but it can be nowhere: {}", token.describe()));
            }
        }
        Ok(())
    }

    fn note_refused(&mut self, client: usize, unconfirmed: &Unconfirmed) -> Checked {
        if self.has_failed() {
            return Ok(());
        }
        self.promise(client, unconfirmed.caused)?;
        let ledger = self.ledger(client);
        let is_unborn = |&token: &usize| ledger.tokens[token].states.observe(|s| s.place == Place::Unborn).is_some();
        if unconfirmed.tokens.iter().any(is_unborn) {
            return Ok(());
        }
        violation(format!("refused without a reason: {:?}", unconfirmed.message))
    }
}

/// Returns the message count of a reply; in that to a declaration it follows the queue's name.
fn count_in(answer: &Answer) -> usize {
    let at = if answer.id() == DECLARED { 5 + answer.text_at(4).len() } else { 4 };
    u32::from_be_bytes(answer.payload[at..at + 4].try_into().expect("four bytes")) as usize
}
