// Public: what "pocketmq" exports, whichever way its wasm was loaded.
export type {
  JournalOptions,
  JournalStats,
  Limits,
  Properties,
  QueueStats,
  QueueStatus,
  Restored,
  Stats,
  Table,
  TableValue,
} from "./abi.js";
export type { Body } from "./arguments.js";
export { Broker, type ConsumerCallback } from "./broker.js";
export { Panic } from "./engine.js";
export { BrokerError, Fault } from "./errors.js";
export { StoreFailure } from "./flushing.js";
export type { Message, OutgoingMessage } from "./message.js";
export type { ConsumerArguments, ExchangeArguments, ExchangeType, QueueArguments } from "./named-arguments.js";
export type {
  BrokerOptions,
  ConsumeOptions,
  ExchangeOptions,
  GetOptions,
  PolicyOptions,
  QueueOptions,
} from "./options.js";
