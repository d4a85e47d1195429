// Consumer: a channel with prefetch 1 that acks each message after its service time.
import type { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";
import type { AMQPMessage } from "@cloudamqp/amqp-client/amqp-message";
import type { Connection } from "./connection.ts";
import { type Body, QUEUE } from "./messages.ts";
import type { Service } from "./service.ts";

/** The message that a consumer is working on. */
export interface InHand {
  message: AMQPMessage;
  id: number;
  work: number;
  body: Body | undefined;
  deliveredAt: number;
}

export class Consumer {
  /** The index of the consumer in the picture. */
  readonly place: number;
  readonly service: Service;
  inHand: InHand | undefined;
  #channel: AMQPChannel | undefined;
  #tag = "";
  #leaving = false;

  constructor(place: number, service: Service) {
    this.place = place;
    this.service = service;
  }

  /** Starts consuming. */
  async join(connection: Connection, onMessage: (message: AMQPMessage) => void): Promise<void> {
    const channel = await connection.channel();
    this.#channel = channel;
    await channel.basicQos(1);
    const consumer = await channel.basicConsume(QUEUE, { noAck: false }, onMessage);
    this.#tag = consumer.tag;
    if (this.#leaving) await this.#cancel();
  }

  /** Cancels the consumer, and closes the channel after the current message is acked. */
  async leave(): Promise<void> {
    this.#leaving = true;
    if (this.#tag) await this.#cancel();
  }

  /** Acks the current message. */
  async ack(): Promise<void> {
    const message = this.inHand?.message;
    this.inHand = undefined;
    await message?.ack();
    if (this.#leaving) await this.#closeChannel();
  }

  async #cancel(): Promise<void> {
    const tag = this.#tag;
    this.#tag = "";
    await this.#channel?.basicCancel(tag);
    if (!this.inHand) await this.#closeChannel();
  }

  async #closeChannel(): Promise<void> {
    if (this.#channel && !this.#channel.closed) await this.#channel.close();
  }
}
