// Publisher: what a channel published and has no confirm for yet, numbered, to be sent again to the next leader.
import type { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";
import type { AMQPProperties } from "@cloudamqp/amqp-client/amqp-properties";
import { uniqueName } from "./wire.js";

/** The client keeps a buffer of a frame's size for each message that it has sent and that is not confirmed. */
const WINDOW = 2_048;
const ID = "x-publisher-id";

/** What a message's body may be made from. */
export type Body = string | Uint8Array | ArrayBuffer | null;

/** A message, and where it goes. */
export interface Publication {
  exchange: string;
  routingKey: string;
  data: Body;
  properties: AMQPProperties;
  mandatory: boolean;
  immediate: boolean;
}

interface Unconfirmed extends Publication {
  readonly number: number;
  readonly resolve: (number: number) => void;
  readonly reject: (error: Error) => void;
}

/** The messages of one channel. */
export class Publisher {
  readonly #id = uniqueName();
  readonly #unconfirmed = new Map<number, Unconfirmed>();
  #published = 0;
  #channel: AMQPChannel | undefined;
  /** The first number that was not sent on this channel. */
  #next = 1;
  /** How many sent ones wait for a confirm on it. */
  #waiting = 0;

  /** Fulfilled with the message's number when it is confirmed. */
  publish(publication: Publication): Promise<number> {
    const number = ++this.#published;
    return new Promise((resolve, reject) => {
      const { data, properties } = publication;
      const kept = { ...publication, data: copied(data), properties: this.#numbered(properties, number) };
      this.#unconfirmed.set(number, { ...kept, number, resolve, reject });
      this.#send();
    });
  }

  /** Sends what is not confirmed over this channel, which is in confirm mode, and what comes from now on. */
  start(channel: AMQPChannel): void {
    this.#channel = channel;
    this.#waiting = 0;
    [this.#next = this.#published + 1] = this.#unconfirmed.keys();
    channel.connection.onunblocked = () => this.#send();
    this.#send();
  }

  /** Nothing is sent or confirmed any more. */
  end(reason: Error): void {
    this.#channel = undefined;
    for (const { reject } of this.#unconfirmed.values()) reject(reason);
    this.#unconfirmed.clear();
  }

  #send(): void {
    const channel = this.#channel;
    if (!channel) return;
    while (this.#next <= this.#published && this.#waiting < WINDOW && !channel.closed && !channel.connection.blocked) {
      const message = this.#unconfirmed.get(this.#next++);
      if (message) this.#sendOne(channel, message);
    }
  }

  #sendOne(channel: AMQPChannel, message: Unconfirmed): void {
    const { exchange, routingKey, data, properties, mandatory, immediate } = message;
    this.#waiting++;
    channel.basicPublish(exchange, routingKey, data, properties, mandatory, immediate).then(
      () => this.#settled(channel, message, () => message.resolve(message.number)),
      (error: Error) => {
        // With a channel that is closed the leader may be gone: the next one is sent it again.
        if (!channel.closed) this.#settled(channel, message, () => message.reject(error));
      },
    );
  }

  #settled(channel: AMQPChannel, { number }: Unconfirmed, tell: () => void): void {
    if (!this.#unconfirmed.delete(number)) return;
    tell();
    if (channel !== this.#channel) return;
    this.#waiting--;
    this.#send();
  }

  /** An application that numbers its messages itself goes on doing so. */
  #numbered(properties: AMQPProperties, number: number): AMQPProperties {
    if (properties.headers?.[ID] !== undefined) return properties;
    return { ...properties, headers: { ...properties.headers, [ID]: this.#id, "x-publisher-sequence": number } };
  }
}

/** As it is now, whatever the application does with its buffer. */
function copied(data: Body): Body {
  if (data instanceof Uint8Array) return data.slice();
  return data instanceof ArrayBuffer ? data.slice(0) : data;
}
