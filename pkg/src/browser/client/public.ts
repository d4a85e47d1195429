// Public: the exports of "pocketmq/browser".
export { AMQPError } from "@cloudamqp/amqp-client/amqp-error";
export type {
  ConsumerArguments,
  ExchangeArguments,
  ExchangeType,
  Limits,
  QueueArguments,
  QueueStats,
  Stats,
} from "../../core/abi.js";
export type { SharedStats } from "../wire.js";
export { SiteDataCleared, TimedOut } from "../within.js";
export type { Channel } from "./channel.js";
export { connect, type ShareOptions } from "./connect.js";
export type { Connection } from "./connection.js";
export { type ConnectOptions, connectPort, type PortClient } from "./port-client.js";
export { MessageRefused } from "./publisher.js";
export { type OpenOptions, openBroker, type WorkerBroker } from "./worker-broker.js";
