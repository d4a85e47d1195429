// Port client: @cloudamqp/amqp-client over a MessagePort, whose other end is a broker in a worker.
//
//   port:  bytes either way | null: closed | from here also: a number, of the bytes read so far; the name of a Web Lock
//          that is held as long as this client lives ("" for none); false, before a freeze | from the broker also: 0,
//          to be answered by 0, and the name of its lock
//
// The amount of data that waits in a port cannot be known: the broker limits deliveries by the reported reads.
import { AMQPBaseClient } from "@cloudamqp/amqp-client/amqp-base-client";
import { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";
import { AMQPError } from "@cloudamqp/amqp-client/amqp-error";
import { AMQPView } from "@cloudamqp/amqp-client/amqp-view";
import { holdLock, Liveness } from "../liveness.js";
import type { Wire } from "../wire.js";
import { within } from "../within.js";
import { strict } from "./strict.js";

const PROTOCOL_HEADER = new Uint8Array([65, 77, 81, 80, 0, 0, 9, 1]);
const FRAME_HEAD_BYTES = 7;
/** Far less than the broker leaves unread in a port; a report for each message would cost more than the message. */
const REPORT_BYTES = 131_072;
/** The broker may be opening its files, or be busy. */
const CONNECT_MS = 10_000;
const BROKER_SILENT_MS = 10_000;

/** Options of a login. */
export interface ConnectOptions {
  /** Default "guest". */
  user?: string | undefined;
  /** Default "guest". */
  password?: string | undefined;
  /** Default "/". */
  vhost?: string | undefined;
  /** The connection's name, for people. */
  name?: string | undefined;
}

/** Connects to AMQP over a port, in a page or in any worker that has the port. */
export async function connectPort(port: MessagePort, options: ConnectOptions = {}): Promise<PortClient> {
  const client = new PortClient(port, options);
  client.tellOfLiveness();
  await client.connect();
  return client;
}

/** An AMQP client over one MessagePort, or another wire. */
export class PortClient extends AMQPBaseClient {
  readonly #port: Wire;
  readonly #whenGone: (client: PortClient) => void;
  #rest = new Uint8Array(0);
  #readBytes = 0;
  #unsent: Uint8Array[] = [];
  readonly #ended = new AbortController();
  readonly #broker = new Liveness(
    () => {},
    () => this.disconnect(new AMQPError("The broker's worker has ended.", this)),
    BROKER_SILENT_MS,
  );

  /** @internal */
  constructor(port: Wire, options: ConnectOptions, whenGone: (client: PortClient) => void = () => {}) {
    const { user = "guest", password = "guest", vhost = "/", name } = options;
    // The client's own frame size, the smallest: it has a buffer of that size for each unconfirmed message.
    super(vhost, user, password, name, "MessagePort");
    this.#port = port;
    this.#whenGone = whenGone;
  }

  override connect(): Promise<AMQPBaseClient> {
    const sentence = "The broker at the other end of the port did not answer within 10 s: connect again.";
    return within(CONNECT_MS, this.#connect(), sentence).catch((error) => {
      if (this.connectPromise) this.disconnect(new AMQPError(error.message, this));
      throw error;
    });
  }

  override async channel(id?: number): Promise<AMQPChannel> {
    return strict(await super.channel(id));
  }

  /** @internal Lets the other end notice when this thread ends. */
  tellOfLiveness(): void {
    const { signal } = this.#ended;
    void holdLock(signal).then((lock) => {
      if (signal.aborted) return;
      this.#port.postMessage(lock);
      if (lock !== "" || typeof document === "undefined") return;
      document.addEventListener("freeze", () => this.#port.postMessage(false), { signal });
      addEventListener("pagehide", ({ persisted }) => persisted && this.#port.postMessage(false), { signal });
    });
  }

  #connect(): Promise<AMQPBaseClient> {
    return new Promise((resolve, reject) => {
      this.connectPromise = [resolve, reject];
      this.#port.onmessage = ({ data }: MessageEvent<unknown>) => {
        this.#broker.heard();
        if (typeof data === "number") this.#port.postMessage(0);
        else if (typeof data === "string") void this.#broker.watch(data);
        else if (data === null) this.disconnect(new AMQPError("The broker closed the port.", this));
        else if (data instanceof ArrayBuffer) this.#receive(new Uint8Array(data));
        // Anything else is not from the broker.
        else if (data instanceof Uint8Array) this.#receive(data as Uint8Array<ArrayBuffer>);
      };
      void this.send(PROTOCOL_HEADER);
    });
  }

  /**
   * Posts bytes, together with everything that is sent until the running code is done: each post costs far more than
   * its bytes.
   */
  override async send(bytes: Uint8Array): Promise<void> {
    // A copy, as the client reuses its buffer.
    this.sendWhole(bytes.slice());
  }

  /** @internal Sends bytes that will not change any more. */
  sendWhole(bytes: Uint8Array): void {
    if (this.#unsent.length === 0) queueMicrotask(() => this.#post());
    this.#unsent.push(bytes);
  }

  /** Ends the connection without closing it at the broker, which is gone or not needed any more. */
  disconnect(error: AMQPError): void {
    const wasOpen = !this.closed;
    this.closed = true;
    this.#port.postMessage(null);
    this.#port.close();
    this.#ended.abort();
    this.#broker.stop();
    this.#whenGone(this);
    this.connectPromise?.[1](error);
    delete this.connectPromise;
    this.closePromise?.[0]();
    delete this.closePromise;
    if (!wasOpen) return;
    for (const channel of this.channels) channel?.setClosed(error);
    this.channels = [new AMQPChannel(this, 0)];
    this.onerror(error);
    this.ondisconnect?.(error);
  }

  protected override closeSocket(): void {
    this.closed = true;
    this.#post();
    this.#port.postMessage(null);
    this.#port.close();
    this.#ended.abort();
    this.#broker.stop();
    this.#whenGone(this);
  }

  // The client parses complete frames only; a message may end within one.
  #receive(bytes: Uint8Array<ArrayBuffer>): void {
    const input = this.#rest.length === 0 ? bytes : joined([this.#rest, bytes]);
    const length = wholeFrames(input);
    this.#rest = input.slice(length);
    if (length > 0) this.parseFrames(new AMQPView(input.buffer, input.byteOffset, length));
    this.#report(bytes.length);
  }

  #post(): void {
    if (this.#unsent.length === 0) return;
    const bytes = joined(this.#unsent);
    this.#unsent = [];
    this.#port.postMessage(bytes, [bytes.buffer]);
  }

  #report(bytes: number): void {
    this.#readBytes += bytes;
    if (this.#readBytes < REPORT_BYTES) return;
    this.#port.postMessage(this.#readBytes);
    this.#readBytes = 0;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function wholeFrames(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = 0;
  while (end + FRAME_HEAD_BYTES <= bytes.length) {
    const next = end + FRAME_HEAD_BYTES + view.getUint32(end + 3) + 1;
    if (next > bytes.length) break;
    end = next;
  }
  return end;
}
