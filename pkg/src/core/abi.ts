// ABI: the interface of the wasm, whose types are generated from Rust (src/wasm/). Each artifact has a class `Server` with
// the methods of the artifact before it and its own; a module of the package takes the smallest one that it needs.
import type { Server as EmbedServer, Properties, ServerOptions } from "../../wasm/embed/embed.js";
import type { JournalOptions, Store, Instance as TabInstance, Server as TabServer } from "../../wasm/tab/tab.js";

export type {
  ConsumerArguments,
  Consumption,
  ExchangeArguments,
  ExchangeDeclaration,
  ExchangeType,
  JournalStats,
  Limits,
  Matcher,
  OperatorKey,
  Policy,
  QueueArguments,
  QueueDeclaration,
  QueueStats,
  QueueStatus,
  Restored,
  Stats,
  Table,
  TableValue,
} from "../../wasm/embed/embed.js";
export type {
  AccessRules,
  Kind,
  Report,
  Server as NodeServer,
  VirtualHostLimits,
} from "../../wasm/server/server.js";
export type { Peer, StoredSegment } from "../../wasm/tab/tab.js";
export type { EmbedServer, JournalOptions, Properties, ServerOptions, Store, TabServer };

/** An instance of an artifact: its memory and its class. */
export interface Bound<S> {
  readonly memory: WebAssembly.Memory;
  readonly Server: {
    new (options: ServerOptions, nowMs: number): S;
    encodeProperties(properties: Properties): Uint8Array;
    decodeProperties(raw: Uint8Array, exact: boolean): Properties;
  };
}

/** An instance of an artifact that can keep a journal. */
export interface JournalBound<S> extends Bound<S> {
  readonly Server: Bound<S>["Server"] & {
    open(options: ServerOptions & JournalOptions, store: Store, nowMs: number): S;
  };
}

/** An instance of an artifact that can be a worker's clock. */
export type WakerBound = Pick<TabInstance, "Waker">;
