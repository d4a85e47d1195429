// Flags: the names of flags in declarations.
export const EXCHANGE_FLAGS = ["passive", "durable", "autoDelete", "internal"] as const;
export const QUEUE_FLAGS = ["passive", "durable", "exclusive", "autoDelete"] as const;
