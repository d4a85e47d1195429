// Connection: an AMQP client of the broker that all tabs share. When another tab leads, it connects to that one and
// goes on, with its channels, its consumers and unconfirmed messages.
import { AMQPError } from "@cloudamqp/amqp-client/amqp-error";
import type { SharedStats, StorageKind } from "../wire.js";
import { SiteDataCleared, within } from "../within.js";
import { Channel } from "./channel.js";
import type { Follower } from "./follower.js";
import type { Link } from "./link.js";
import { type ConnectOptions, PortClient } from "./port-client.js";
import { Topology } from "./topology.js";

const GOODBYE_MS = 2_000;
/** The reply code with which the broker closes for its own reasons, not because of a client's error. */
const LEAVING = /\(320\)$/;

/** An AMQP client of the broker that all tabs of an origin share. */
export class Connection {
  /** Called when the connection is closed for good, other than by `close`. */
  onerror: (error: Error) => void = () => {};
  /** Called when the leader is lost. Calls wait meanwhile. */
  ondisconnect: () => void = () => {};
  /** Called when another leader has taken over, and all channels and consumers are restored. */
  onreconnect: () => void = () => {};
  /** @internal */
  readonly topology = new Topology();
  readonly #follower: Follower;
  readonly #options: ConnectOptions;
  readonly #channels = new Map<number, Channel>();
  readonly #stopFollowing: () => void;
  #client: PortClient | undefined;
  #link: Link | undefined;
  /** The store that the last leader wrote to. */
  #store: string | undefined;
  #attaching: Promise<PortClient> | undefined;
  #ended: Error | undefined;

  /** @internal */
  constructor(follower: Follower, options: ConnectOptions) {
    this.#follower = follower;
    this.#options = options;
    this.#stopFollowing = follower.onChange((leader) => this.#leaderChanged(leader));
  }

  /** Whether it is closed for good. */
  get closed(): boolean {
    return this.#ended !== undefined;
  }

  /** The storage of the broker that it is connected to. */
  get storage(): StorageKind | undefined {
    return this.#link?.storage;
  }

  /** Why messages are in memory only although the option was "durable-or-memory". */
  get warning(): string | undefined {
    return this.#link?.warning;
  }

  /** @internal Connects for the first time. */
  async connected(): Promise<this> {
    try {
      await this.client();
      return this;
    } catch (error) {
      throw this.#fail(error as Error);
    }
  }

  /** Opens a new channel. */
  async channel(): Promise<Channel> {
    for (;;) {
      const client = await this.client();
      try {
        const inner = await client.channel();
        const channel = new Channel(this, inner);
        this.#channels.set(inner.id, channel);
        return channel;
      } catch (error) {
        if (!client.closed) throw error;
      }
    }
  }

  /** Returns the broker's present figures, and the usage of the browser's storage. */
  async stats(): Promise<SharedStats> {
    for (;;) {
      await this.client();
      const link = await this.#follower.link();
      try {
        return await link.stats();
      } catch {
        // That worker no longer leads: the next leader will reply.
      }
    }
  }

  /** Closes it. The last connection of a tab also ends its worker; if that one led, another tab takes over. */
  async close(): Promise<void> {
    if (this.#ended) return;
    const client = this.#client;
    this.#end(undefined);
    const sentence = "The broker did not say goodbye.";
    if (client && !client.closed) await within(GOODBYE_MS, client.close(), sentence).catch(() => {});
    await this.#follower.leave();
  }

  /** Does the same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Resolves with the leader's client, as soon as there is one. */
  client(): Promise<PortClient> {
    if (this.#ended) return Promise.reject(this.#ended);
    this.#attaching ??= this.#attach();
    return this.#attaching;
  }

  /** @internal */
  forget(channel: Channel): void {
    this.#channels.delete(channel.id);
  }

  async #attach(): Promise<PortClient> {
    for (;;) {
      const link = await this.#follower.link();
      try {
        return await this.#attachBy(link);
      } catch (error) {
        if (this.#ended) throw this.#ended;
        if (isRefusal(error)) throw this.#fail(error as Error);
        // It is gone or closing: the follower will report a new one.
        this.#follower.lost(link);
      }
    }
  }

  async #attachBy(link: Link): Promise<PortClient> {
    const client = new PortClient(await link.open(), this.#options);
    this.#client = client;
    this.#link = link;
    await client.connect();
    client.onunblocked = () => {
      for (const channel of this.#channels.values()) channel.unblocked();
    };
    const isCleared = this.#store !== undefined && link.store !== undefined && link.store !== this.#store;
    if (isCleared) for (const channel of this.#channels.values()) channel.giveUp(new SiteDataCleared());
    await this.topology.declareAgain(() => client.channel(), isCleared || link.storage === "memory");
    this.#store = link.store ?? this.#store;
    for (const channel of this.#channels.values()) await channel.attach(client);
    if (this.#ended) throw this.#ended;
    client.ondisconnect = (error) => this.#disconnected(client, error);
    if (client.closed) throw new Error("The leader is gone.");
    return client;
  }

  #leaderChanged(leader: string | undefined): void {
    const client = this.#client;
    if (this.#link?.leader !== leader) client?.disconnect(new AMQPError("Another tab leads now.", client));
  }

  #disconnected(client: PortClient, error: Error | undefined): void {
    if (this.#ended || client !== this.#client) return;
    if (isRefusal(error)) return void this.#fail(error as Error);
    if (this.#link) this.#follower.lost(this.#link);
    this.#attaching = undefined;
    this.ondisconnect();
    void this.client().then(
      () => this.onreconnect(),
      (reason) => this.#fail(reason),
    );
  }

  /** Ends the connection with an error of the broker. */
  #fail(error: Error): Error {
    if (this.#ended) return this.#ended;
    this.#end(error);
    this.onerror(error);
    void this.#follower.leave();
    return error;
  }

  /** @param error the broker's error; undefined for `close` */
  #end(error: Error | undefined): void {
    this.#ended = error ?? new Error("This connection is closed.");
    this.#stopFollowing();
    for (const channel of this.#channels.values()) channel.setClosed(error);
    this.#channels.clear();
  }
}

/** Whether the broker closed the connection because of an error that would occur again. */
function isRefusal(error: unknown): boolean {
  const text = error instanceof AMQPError ? error.message : "";
  return text.startsWith("connection closed: ") && !LEAVING.test(text);
}
