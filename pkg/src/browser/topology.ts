// Topology: what a connection declared that a change of leaders takes away: what is exclusive, deleted by itself or not durable,
// and in memory all of it. It is declared again on the new leader.
import type { AMQPChannel, ExchangeParams, QueueParams } from "@cloudamqp/amqp-client/amqp-channel";

type Arguments = Record<string, unknown>;
type Declare = (channel: AMQPChannel) => Promise<unknown>;

/** What to declare again, in the order in which it was declared. */
export class Topology {
  readonly #queues = new Map<string, Declare>();
  readonly #exchanges = new Map<string, Declare>();
  readonly #bindings = new Map<string, Declare>();
  /** Whether even what is durable has to be declared again. */
  isInMemory = false;

  queueDeclared(name: string, params: QueueParams, args: Arguments): void {
    const { passive = false, durable = true, autoDelete = false, exclusive = false } = params;
    if (passive || !(this.isInMemory || !durable || autoDelete || exclusive)) return;
    this.#queues.set(name, (channel) => channel.queueDeclare(name, { durable, autoDelete, exclusive }, args));
  }

  queueDeleted(name: string): void {
    this.#queues.delete(name);
  }

  exchangeDeclared(name: string, type: string, params: ExchangeParams, args: Arguments): void {
    const { passive = false, durable = true, autoDelete = false } = params;
    if (passive || !(this.isInMemory || !durable || autoDelete)) return;
    this.#exchanges.set(name, (channel) => channel.exchangeDeclare(name, type, params, args));
  }

  exchangeDeleted(name: string): void {
    this.#exchanges.delete(name);
  }

  queueBound(queue: string, exchange: string, routingKey: string, args: Arguments): void {
    if (!this.#queues.has(queue) && !this.#exchanges.has(exchange)) return;
    const key = bindingKey("queue", queue, exchange, routingKey, args);
    this.#bindings.set(key, (channel) => channel.queueBind(queue, exchange, routingKey, args));
  }

  queueUnbound(queue: string, exchange: string, routingKey: string, args: Arguments): void {
    this.#bindings.delete(bindingKey("queue", queue, exchange, routingKey, args));
  }

  exchangeBound(destination: string, source: string, routingKey: string, args: Arguments): void {
    if (!this.#exchanges.has(destination) && !this.#exchanges.has(source)) return;
    const key = bindingKey("exchange", destination, source, routingKey, args);
    this.#bindings.set(key, (channel) => channel.exchangeBind(destination, source, routingKey, args));
  }

  exchangeUnbound(destination: string, source: string, routingKey: string, args: Arguments): void {
    this.#bindings.delete(bindingKey("exchange", destination, source, routingKey, args));
  }

  /** Declares it all; what is refused meanwhile, as somebody else declared it otherwise, is left out. */
  async declareAgain(openChannel: () => Promise<AMQPChannel>): Promise<void> {
    const all = [...this.#exchanges.values(), ...this.#queues.values(), ...this.#bindings.values()];
    if (all.length === 0) return;
    let channel = await openChannel();
    for (const declare of all) {
      await declare(channel).catch(() => {});
      if (channel.closed) channel = await openChannel();
    }
    await channel.close();
  }
}

function bindingKey(kind: string, ...binding: unknown[]): string {
  return JSON.stringify([kind, ...binding]);
}
