// "pocketmq/browser": a broker that all tabs share, a broker of a tab's own, and AMQP clients over MessagePorts.
export { AMQPError } from "@cloudamqp/amqp-client/amqp-error";
export type { Limits, QueueStats, Stats } from "./abi.js";
export type { Channel } from "./browser/channel.js";
export { connect, type ShareOptions } from "./browser/connect.js";
export type { Connection } from "./browser/connection.js";
export { type ConnectOptions, connectPort, type PortClient } from "./browser/port-client.js";
export { MessageRefused } from "./browser/publisher.js";
export type { SharedStats } from "./browser/wire.js";
export { SiteDataCleared, TimedOut } from "./browser/within.js";
export { type OpenOptions, openBroker, type WorkerBroker } from "./browser/worker-broker.js";
export type { ConsumerArguments, ExchangeArguments, ExchangeType, QueueArguments } from "./named-arguments.js";
