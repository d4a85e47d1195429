// Connection: the interface that the load needs of an AMQP connection, of any client library.
import type { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";

/** A connection on which channels can be opened. */
export interface Connection {
  readonly closed: boolean;
  channel(): Promise<AMQPChannel>;
  close(): Promise<void>;
}
