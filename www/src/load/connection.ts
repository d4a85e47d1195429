// Connection: an AMQP connection of whichever client, as the load uses it.
import type { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";

/** A connection that channels are opened on. */
export interface Connection {
  readonly closed: boolean;
  channel(): Promise<AMQPChannel>;
  close(): Promise<void>;
}
