// Flags: of declarations.
export const EXCHANGE_FLAGS = ["passive", "durable", "autoDelete", "internal"] as const;
export const QUEUE_FLAGS = ["passive", "durable", "exclusive", "autoDelete"] as const;
