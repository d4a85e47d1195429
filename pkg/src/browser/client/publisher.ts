// Publisher: a channel's unconfirmed messages, numbered, to be sent again to the next leader.
//
//   numbers    1 2 3 4 5 6 7 8 9
//              . . . x . x|x|         . confirmed    x sent, waits for its confirm    the others: still to be sent
//                          └ next
import type { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";
import type { PortClient } from "./port-client.js";
import { Encoder, type Publication } from "./publication.js";

/**
 * The greatest number of unconfirmed messages that were sent: more would only wait in the leader, and be sent twice
 * when it ends.
 */
const WINDOW = 4_096;

interface Unconfirmed {
  readonly number: number;
  readonly frames: Uint8Array;
  readonly resolve: (number: number) => void;
  readonly reject: (error: Error) => void;
}

/** The error of a message that the broker nacked. */
export class MessageRefused extends Error {
  override readonly name = "MessageRefused";
  readonly code = "MESSAGE_REFUSED";

  constructor() {
    super("The broker refused the message: its queue is full, or it cannot be stored.");
  }
}

/** The messages of one channel. */
export class Publisher {
  readonly #encoder: Encoder;
  readonly #unconfirmed = new Map<number, Unconfirmed>();
  #published = 0;
  #channel: AMQPChannel | undefined;
  #next = 1;
  /** The numbers of unconfirmed messages that were sent on this channel, by delivery tag. */
  readonly #sent = new Map<number, number>();
  #lastTag = 0;

  constructor(channel: AMQPChannel) {
    this.#encoder = new Encoder(channel.id, channel.connection.frameMax);
  }

  /** Publishes; resolves with the message's number when it is confirmed. */
  async publish(publication: Publication): Promise<number> {
    const number = this.#published + 1;
    const frames = this.#encoder.encode(publication, number);
    this.#published = number;
    return new Promise((resolve, reject) => {
      this.#unconfirmed.set(number, { number, frames, resolve, reject });
      this.resume();
    });
  }

  /** Sends unconfirmed messages and later ones over this channel, which is in confirm mode. */
  start(channel: AMQPChannel): void {
    // Its delivery tags count on, however often it was put into confirm mode.
    if (channel === this.#channel) return;
    this.#channel = channel;
    this.#sent.clear();
    this.#lastTag = 0;
    [this.#next = this.#published + 1] = this.#unconfirmed.keys();
    channel.publishConfirmed = (tag, multiple, nack) => this.#confirmed(tag, multiple, nack);
    this.resume();
  }

  /** Sends messages as far as the window allows. */
  resume(): void {
    const channel = this.#channel;
    if (!channel || channel.closed || channel.connection.blocked) return;
    while (this.#next <= this.#published && this.#sent.size < WINDOW) {
      const message = this.#unconfirmed.get(this.#next++);
      if (!message) continue;
      this.#sent.set(++this.#lastTag, message.number);
      (channel.connection as PortClient).sendWhole(message.frames);
    }
  }

  /** Stops sending, and rejects unconfirmed messages. */
  end(reason: Error): void {
    this.#channel = undefined;
    this.giveUp(reason);
  }

  /** Rejects unconfirmed messages. */
  giveUp(reason: Error): void {
    for (const { reject } of this.#unconfirmed.values()) reject(reason);
    this.#unconfirmed.clear();
  }

  #confirmed(tag: number, multiple: boolean, nack: boolean): void {
    for (const each of multiple ? this.#sent.keys() : [tag]) {
      if (each > tag) break;
      this.#settle(each, nack);
    }
    this.resume();
  }

  #settle(tag: number, nack: boolean): void {
    const number = this.#sent.get(tag) ?? 0;
    const message = this.#unconfirmed.get(number);
    this.#sent.delete(tag);
    this.#unconfirmed.delete(number);
    if (nack) message?.reject(new MessageRefused());
    else message?.resolve(number);
  }
}
