// Publication: encodes a message as AMQP frames, in one piece. Encoding is most of the cost of publishing in a tab, so
// repeated parts are encoded once: names, and properties without the message's number.
import type { AMQPProperties } from "@cloudamqp/amqp-client/amqp-properties";
import { AMQPView } from "@cloudamqp/amqp-client/amqp-view";
import { type Body, bodyBytes } from "../../core/arguments.js";
import { uniqueName } from "../wire.js";
import { strictProperties } from "./strict.js";

const ID = "x-publisher-id";
const SEQUENCE = "x-publisher-sequence";
/** A placeholder for the message's number in encoded properties. */
const SOME_NUMBER = 0x5eed_0f_1dea_5eedn;
const SCRATCH_BYTES = 131_072;
const REMEMBERED_MAX = 128;
const [METHOD, HEADER, BODY, END] = [1, 2, 3, 0xce];
const [BASIC, PUBLISH] = [60, 40];
/** Sizes of a frame's type, channel, length and end; of a publish without names; of a header without properties. */
const [FRAME_BYTES, PUBLISH_BYTES, HEADER_BYTES] = [8, 7, 12];

/** A message and its destination. */
export interface Publication {
  exchange: string;
  routingKey: string;
  /** In any form that @cloudamqp/amqp-client accepts. */
  data: Body | ArrayBuffer | null;
  properties: AMQPProperties;
  mandatory: boolean;
  immediate: boolean;
}

interface Encoded {
  bytes: Uint8Array;
  /** The offset of the message's number; undefined if the application has set one. */
  numberAt?: number | undefined;
}

/** Encodes the messages of one channel. */
export class Encoder {
  readonly #channel: number;
  readonly #frameMax: number;
  readonly #publisher = uniqueName();
  readonly #scratch = new AMQPView(new ArrayBuffer(SCRATCH_BYTES));
  readonly #names = new Map<string, Uint8Array>();
  readonly #properties = new Map<string, Encoded>();

  constructor(channel: number, frameMax: number) {
    this.#channel = channel;
    this.#frameMax = frameMax;
  }

  /** Returns the frames of a message with this number. */
  encode({ exchange, routingKey, data, properties, mandatory, immediate }: Publication, number: number): Uint8Array {
    const names = [this.#name(exchange), this.#name(routingKey)];
    const encoded = this.#propertiesOf(properties, number);
    const body = contentOf(data);
    const methodBytes = PUBLISH_BYTES + names.reduce((bytes, name) => bytes + name.length, 0);
    const contentBytes = HEADER_BYTES + encoded.bytes.length;
    const bodyMax = this.#frameMax - FRAME_BYTES;
    const bodyFrames = Math.ceil(body.length / bodyMax);
    const frames = new Frames(this.#channel, methodBytes + contentBytes + body.length + (2 + bodyFrames) * FRAME_BYTES);

    frames.begin(METHOD, methodBytes);
    frames.u16(BASIC, PUBLISH, 0);
    for (const name of names) frames.bytes(name);
    frames.u8(Number(mandatory) + 2 * Number(immediate), END);
    frames.begin(HEADER, contentBytes);
    frames.u16(BASIC, 0, 0, 0);
    frames.u32(body.length);
    const at = frames.bytes(encoded.bytes);
    if (encoded.numberAt !== undefined) frames.numberAt(at + encoded.numberAt, number);
    frames.u8(END);
    for (let from = 0; from < body.length; from += bodyMax) {
      const part = body.subarray(from, from + bodyMax);
      frames.begin(BODY, part.length);
      frames.bytes(part);
      frames.u8(END);
    }
    return frames.whole;
  }

  #name(name: string): Uint8Array {
    const known = this.#names.get(name);
    if (known) return known;
    const length = this.#scratch.setShortString(0, name);
    return remember(this.#names, name, new Uint8Array(this.#scratch.buffer).slice(0, length));
  }

  /** An application's own numbers stay. */
  #propertiesOf(given: AMQPProperties, number: number): Encoded {
    const key = given.headers === undefined ? JSON.stringify(given) : "";
    const known = this.#properties.get(key);
    if (known) return known;
    const properties = strictProperties(given);
    const { headers } = properties;
    if (headers?.[ID] !== undefined) return { bytes: this.#encoded(properties) };
    if (headers !== undefined) return { bytes: this.#encoded(this.#numbered(properties, BigInt(number))) };
    const bytes = this.#encoded(this.#numbered(properties, SOME_NUMBER));
    return remember(this.#properties, key, { bytes, numberAt: placeOf(SOME_NUMBER, bytes) });
  }

  #numbered(properties: AMQPProperties, number: bigint): AMQPProperties {
    return { ...properties, headers: { ...properties.headers, [ID]: this.#publisher, [SEQUENCE]: number } };
  }

  #encoded(properties: AMQPProperties): Uint8Array {
    const length = this.#scratch.setProperties(0, properties);
    return new Uint8Array(this.#scratch.buffer).slice(0, length);
  }
}

/** Frames of one channel, as they are written. */
class Frames {
  readonly whole: Uint8Array;
  readonly #view: DataView;
  readonly #channel: number;
  #end = 0;

  constructor(channel: number, bytes: number) {
    this.whole = new Uint8Array(bytes);
    this.#view = new DataView(this.whole.buffer);
    this.#channel = channel;
  }

  begin(type: number, bytes: number): void {
    this.u8(type);
    this.u16(this.#channel);
    this.u32(bytes);
  }

  u8(...numbers: number[]): void {
    for (const number of numbers) this.#view.setUint8(this.#end++, number);
  }

  u16(...numbers: number[]): void {
    for (const number of numbers) {
      this.#view.setUint16(this.#end, number);
      this.#end += 2;
    }
  }

  u32(number: number): void {
    this.#view.setUint32(this.#end, number);
    this.#end += 4;
  }

  /** Returns the offset of the bytes. */
  bytes(bytes: Uint8Array): number {
    const at = this.#end;
    this.whole.set(bytes, at);
    this.#end += bytes.length;
    return at;
  }

  numberAt(at: number, number: number): void {
    this.#view.setBigInt64(at, BigInt(number));
  }
}

function contentOf(data: Publication["data"]): Uint8Array {
  if (data === null) return new Uint8Array(0);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  return bodyBytes(data, "a string, a Uint8Array, an ArrayBuffer or null");
}

function placeOf(number: bigint, bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer);
  let at = 0;
  while (view.getBigInt64(at) !== number) at++;
  return at;
}

function remember<T>(known: Map<string, T>, key: string, value: T): T {
  if (known.size >= REMEMBERED_MAX) known.clear();
  known.set(key, value);
  return value;
}
