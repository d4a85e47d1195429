// Topology: the declarations of a connection. Those that a change of leaders removes are declared again at the new one:
// exclusive, auto-delete and transient ones, and all of them in memory or after the site's data were cleared.
import type { AMQPChannel, ExchangeParams, QueueParams } from "@cloudamqp/amqp-client/amqp-channel";

type Arguments = object;
type BindVerb = "queueBind" | "exchangeBind";
type Binding = [destination: string, source: string, routingKey: string, args: Arguments];
type Declare = (channel: AMQPChannel) => Promise<unknown>;

interface Declared {
  declare: Declare;
  /** Whether it ends with its leader. */
  isTransient: boolean;
}

/** Declarations to repeat, in their original order. */
export class Topology {
  readonly #queues = new Map<string, Declared>();
  readonly #exchanges = new Map<string, Declared>();
  readonly #bindings = new Map<string, Declared>();

  queueDeclared(name: string, params: QueueParams, args: Arguments): void {
    const { passive = false, durable = true, autoDelete = false, exclusive = false } = params;
    if (passive) return;
    const declare: Declare = (channel) => channel.queueDeclare(name, { durable, autoDelete, exclusive }, { ...args });
    this.#queues.set(name, { declare, isTransient: !durable || autoDelete || exclusive });
  }

  queueDeleted(name: string): void {
    this.#queues.delete(name);
  }

  exchangeDeclared(name: string, type: string, params: ExchangeParams, args: Arguments): void {
    const { passive = false, durable = true, autoDelete = false } = params;
    if (passive) return;
    const declare: Declare = (channel) => channel.exchangeDeclare(name, type, params, { ...args });
    this.#exchanges.set(name, { declare, isTransient: !durable || autoDelete });
  }

  exchangeDeleted(name: string): void {
    this.#exchanges.delete(name);
  }

  /** Notes that `destination` was bound to `source`. */
  bound(verb: BindVerb, ...binding: Binding): void {
    const [destination, source, routingKey, args] = binding;
    const destinations = verb === "queueBind" ? this.#queues : this.#exchanges;
    this.#bindings.set(bindingKey(verb, binding), {
      declare: (channel) => channel[verb](destination, source, routingKey, { ...args }),
      isTransient: isLost(destinations.get(destination)) || isLost(this.#exchanges.get(source)),
    });
  }

  unbound(verb: BindVerb, ...binding: Binding): void {
    this.#bindings.delete(bindingKey(verb, binding));
  }

  /**
   * Declares everything that is gone; a declaration that is refused, as another client has declared it differently, is
   * skipped.
   * @param isAllGone whether durable ones have to be declared again, too
   */
  async declareAgain(openChannel: () => Promise<AMQPChannel>, isAllGone: boolean): Promise<void> {
    const all = [...this.#exchanges.values(), ...this.#queues.values(), ...this.#bindings.values()];
    const gone = all.filter(({ isTransient }) => isTransient || isAllGone);
    if (gone.length === 0) return;
    let channel = await openChannel();
    for (const { declare } of gone) {
      await declare(channel).catch(() => {});
      if (channel.closed) channel = await openChannel();
    }
    await channel.close();
  }
}

const isLost = (end: Declared | undefined): boolean => end?.isTransient === true;

function bindingKey(verb: BindVerb, binding: Binding): string {
  return JSON.stringify([verb, ...binding]);
}
