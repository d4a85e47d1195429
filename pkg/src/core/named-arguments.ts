// Named arguments: those of declarations and consumers, by their names: a misspelled one is an error of types.

/** What an exchange may be. */
export type ExchangeType =
  | "direct"
  | "fanout"
  | "topic"
  | "headers"
  | "x-consistent-hash"
  | "x-random"
  | "x-delayed-message";

/** Arguments of a queue. Times are in milliseconds. */
export interface QueueArguments {
  "x-queue-type"?: "classic" | "quorum" | undefined;
  /** How long a message may wait. */
  "x-message-ttl"?: number | undefined;
  /** How long a queue may be unused before it is deleted. */
  "x-expires"?: number | undefined;
  "x-max-length"?: number | undefined;
  "x-max-length-bytes"?: number | undefined;
  "x-overflow"?: "drop-head" | "reject-publish" | "reject-publish-dlx" | undefined;
  "x-dead-letter-exchange"?: string | undefined;
  "x-dead-letter-routing-key"?: string | undefined;
  /** Up to 255; of classic queues. */
  "x-max-priority"?: number | undefined;
  "x-single-active-consumer"?: boolean | undefined;
  /** How often a message may come back; -1 is no limit. Of quorum queues. */
  "x-delivery-limit"?: number | undefined;
  /** How long a consumer may take to ack. */
  "x-consumer-timeout"?: number | undefined;
  /** Whether a message whose header `x-deduplication-id` the queue holds already is dropped. */
  "x-message-deduplication"?: boolean | undefined;
  /** The number of FIFO parts; a key's messages are in one of them. */
  "x-partitions"?: number | undefined;
  /** Without an effect here, as those that follow. */
  "x-queue-mode"?: "default" | "lazy" | undefined;
  "x-queue-version"?: number | undefined;
  "x-queue-leader-locator"?: string | undefined;
  "x-quorum-initial-group-size"?: number | undefined;
  "x-dead-letter-strategy"?: "at-most-once" | "at-least-once" | undefined;
  "x-max-in-memory-length"?: number | undefined;
  "x-max-in-memory-bytes"?: number | undefined;
}

/** Arguments of an exchange. */
export interface ExchangeArguments {
  "alternate-exchange"?: string | undefined;
  /** What an exchange of type x-delayed-message is besides. */
  "x-delayed-type"?: ExchangeType | undefined;
  /** What an exchange of type x-consistent-hash hashes instead of the routing key. */
  "hash-header"?: string | undefined;
  "hash-property"?: "message_id" | "correlation_id" | "timestamp" | undefined;
}

/** Arguments of a consumer. */
export interface ConsumerArguments {
  /** Those of a higher one are served first. */
  "x-priority"?: number | undefined;
}
