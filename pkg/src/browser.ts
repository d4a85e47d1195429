// "pocketmq/browser": a broker in a dedicated worker, and AMQP clients over MessagePorts.
export type { Limits, QueueStats, Stats } from "./abi.js";
export { type ConnectOptions, connectPort, type PortClient } from "./browser/port-client.js";
export { type OpenOptions, openBroker, type WorkerBroker } from "./browser/worker-broker.js";
