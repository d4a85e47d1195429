// Public: the exports of "pocketmq", however its wasm was loaded.
export type {
  ConsumerArguments,
  ExchangeArguments,
  ExchangeType,
  JournalOptions,
  JournalStats,
  Limits,
  Properties,
  QueueArguments,
  QueueStats,
  QueueStatus,
  Restored,
  Stats,
  Table,
  TableValue,
} from "../core/abi.js";
export type { Body } from "../core/arguments.js";
export { BrokerError, Fault, Panic, StoreFailure } from "../core/errors.js";
export { Broker, type ConsumerCallback } from "./broker.js";
export type { Message, OutgoingMessage } from "./message.js";
export type {
  BrokerOptions,
  ConsumeOptions,
  ExchangeOptions,
  GetOptions,
  PolicyOptions,
  QueueOptions,
} from "./options.js";
