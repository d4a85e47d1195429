// Named arguments: those of declarations and consumers, as types, so that a misspelled name is a type error. They are
// generated from the tables in the core.

export type {
  ConsumerArguments,
  ExchangeArguments,
  ExchangeType,
  OperatorKey,
  QueueArguments,
} from "../../wasm/server/server.js";
