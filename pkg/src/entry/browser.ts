// "pocketmq/browser": a broker that all tabs share, a broker of a tab's own, and AMQP clients over MessagePorts.
export { AMQPError } from "@cloudamqp/amqp-client/amqp-error";
export type { Channel } from "../browser/client/channel.js";
export { connect, type ShareOptions } from "../browser/client/connect.js";
export type { Connection } from "../browser/client/connection.js";
export { type ConnectOptions, connectPort, type PortClient } from "../browser/client/port-client.js";
export { MessageRefused } from "../browser/client/publisher.js";
export { type OpenOptions, openBroker, type WorkerBroker } from "../browser/client/worker-broker.js";
export type { SharedStats } from "../browser/wire.js";
export { SiteDataCleared, TimedOut } from "../browser/within.js";
export type { Limits, QueueStats, Stats } from "../core/abi.js";
export type { ConsumerArguments, ExchangeArguments, ExchangeType, QueueArguments } from "../core/named-arguments.js";
