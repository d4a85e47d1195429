// Named arguments: those of declarations and consumers, by their names: a misspelled one is an error of types. The core
// has them in tables, from which these types are made.

export type {
  ConsumerArguments,
  ExchangeArguments,
  ExchangeType,
  OperatorKey,
  QueueArguments,
} from "../../wasm/broker/broker.js";
