// Message: a delivery, and the packed batches that carry many across the wasm boundary at once.
//
//   delivery  | length u32 | consumer u32 | delivery tag f64 | redelivered u8 | exchange length u8 | routing key length u8 | 0 |
//             | properties length u32 | body length u32 | exchange | routing key | properties | body |      (little-endian)
//   publish   | properties length u32 | body length u32 | properties | body |
import type { Properties } from "../core/abi.js";
import { type Body, bodyBytes, record, wrong } from "../core/arguments.js";
import { checkedProperties, seconds } from "../core/properties.js";

const HEAD_BYTES = 28;
const NO_CONSUMER = 0xffffffff;
const NO_PROPERTIES = new Uint8Array(0);
const decoder = new TextDecoder();

/** Converts properties from AMQP's format and to it. */
export interface Codec {
  encodeProperties(properties: Properties): Uint8Array;
  decodeProperties(raw: Uint8Array, exact: boolean): Properties;
}

/** One message of a batch to publish. */
export interface OutgoingMessage {
  body: Body;
  properties?: Properties | undefined;
}

/** A message taken from a queue. */
export class Message {
  /** The tag to ack or nack it by; 0 when it was taken with `noAck`. */
  readonly deliveryTag: number;
  /** Whether it was delivered before, to any consumer. */
  readonly redelivered: boolean;
  /** Its bytes: a view of its batch's buffer, so copy it before transferring `body.buffer`. */
  readonly body: Uint8Array<ArrayBuffer>;
  readonly #record: Uint8Array<ArrayBuffer>;
  readonly #routingKeyAt: number;
  readonly #propertiesAt: number;
  readonly #codec: Codec;
  #properties: Properties | undefined;

  /** @internal */
  constructor(codec: Codec, recordBytes: Uint8Array<ArrayBuffer>, head: DataView, at: number, tagsBefore: number) {
    this.#codec = codec;
    this.#record = recordBytes;
    const tag = head.getFloat64(at + 8, true);
    this.deliveryTag = tag && tag + tagsBefore;
    this.redelivered = head.getUint8(at + 16) === 1;
    this.#routingKeyAt = HEAD_BYTES + head.getUint8(at + 17);
    this.#propertiesAt = this.#routingKeyAt + head.getUint8(at + 18);
    this.body = recordBytes.subarray(this.#propertiesAt + head.getUint32(at + 20, true));
  }

  /** The exchange it was published to; "" is the default exchange. */
  get exchange(): string {
    return decoder.decode(this.#record.subarray(HEAD_BYTES, this.#routingKeyAt));
  }

  /** The routing key it was published with. */
  get routingKey(): string {
    return decoder.decode(this.#record.subarray(this.#routingKeyAt, this.#propertiesAt));
  }

  /** Its properties, decoded on first use. */
  get properties(): Properties {
    this.#properties ??= this.#rawProperties.length === 0 ? {} : this.#decoded(false);
    return this.#properties;
  }

  /** @internal Its properties for JSON, without loss of numbers. */
  get exactProperties(): Properties {
    return this.#decoded(true);
  }

  /** Its body as UTF-8 text. */
  text(): string {
    return decoder.decode(this.body);
  }

  /** Its body parsed as JSON. */
  json<T = unknown>(): T {
    return JSON.parse(this.text()) as T;
  }

  #decoded(exact: boolean): Properties {
    return this.#codec.decodeProperties(this.#rawProperties, exact);
  }

  get #rawProperties(): Uint8Array {
    return this.#record.subarray(this.#propertiesAt, this.#record.length - this.body.length);
  }
}

/** A message and the handle of its consumer; undefined when it was taken by get. */
export interface BatchEntry {
  consumer: number | undefined;
  message: Message;
}

/** Reads a batch of deliveries; `tagsBefore` delivery tags were used before the broker's restart. */
export function readBatch(codec: Codec, batch: Uint8Array<ArrayBuffer>, tagsBefore: number): BatchEntry[] {
  const head = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const entries: BatchEntry[] = [];
  for (let at = 0; at < batch.length; ) {
    const end = at + head.getUint32(at, true);
    const consumer = head.getUint32(at + 4, true);
    const message = new Message(codec, batch.subarray(at, end), head, at, tagsBefore);
    entries.push({ consumer: consumer === NO_CONSUMER ? undefined : consumer, message });
    at = end;
  }
  return entries;
}

/** Packs messages to publish. */
export function packBatch(codec: Codec, messages: Iterable<Body | OutgoingMessage>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const message of messages) {
    const { body, properties } = isBody(message) ? { body: message, properties: undefined } : outgoing(message);
    parts.push(propertyBytes(codec, properties), bodyBytes(body));
  }
  return joinPairs(parts);
}

/** Encodes properties in AMQP's format; none as an empty array. */
export function propertyBytes(codec: Codec, properties: Properties | undefined): Uint8Array {
  if (properties === undefined) return NO_PROPERTIES;
  const { timestamp, ...others } = checkedProperties(properties);
  return codec.encodeProperties(timestamp === undefined ? others : { ...others, timestamp: seconds(timestamp) });
}

function isBody(message: unknown): message is Body {
  return typeof message === "string" || message instanceof Uint8Array;
}

function outgoing(message: OutgoingMessage): OutgoingMessage {
  if (typeof message === "object" && message !== null && "body" in message)
    return record(message, "each message of a batch", ["body", "properties"]) as OutgoingMessage;
  throw wrong("each message of a batch", "a string, a Uint8Array or { body, properties }", message);
}

function joinPairs(parts: Uint8Array[]): Uint8Array {
  const packed = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 4 * parts.length));
  const head = new DataView(packed.buffer);
  let at = 0;
  for (let i = 0; i < parts.length; i += 2) {
    const [properties, body] = [parts[i] as Uint8Array, parts[i + 1] as Uint8Array];
    head.setUint32(at, properties.length, true);
    head.setUint32(at + 4, body.length, true);
    packed.set(properties, at + 8);
    packed.set(body, at + 8 + properties.length);
    at += 8 + properties.length + body.length;
  }
  return packed;
}
