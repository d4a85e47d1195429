// "pocketmq/browser": a broker that all tabs share, a broker of a tab's own, and AMQP clients over MessagePorts.
export * from "../browser/client/public.js";
