// Strict: channels that refuse what the embedded broker refuses: options and properties that do not exist.
import type { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";
import type { AMQPProperties } from "@cloudamqp/amqp-client/amqp-properties";
import { record } from "../../core/arguments.js";
import { EXCHANGE_FLAGS, QUEUE_FLAGS } from "../../core/flags.js";
import { checkedProperties, seconds } from "../../core/properties.js";

/** Which argument of a method is its options, and what they may be. */
const OPTIONS: Record<string, [at: number, known: readonly string[]]> = {
  queueDeclare: [1, QUEUE_FLAGS],
  queueDelete: [1, ["ifUnused", "ifEmpty"]],
  exchangeDeclare: [2, EXCHANGE_FLAGS],
  exchangeDelete: [1, ["ifUnused"]],
  basicConsume: [1, ["tag", "noAck", "exclusive", "args"]],
  basicGet: [1, ["noAck"]],
};
const PROPERTIES_AT = 3;

type Method = (...args: unknown[]) => Promise<unknown>;

/** Has the methods of a channel check what they are given. */
export function strict(channel: AMQPChannel): AMQPChannel {
  const methods = channel as unknown as Record<string, Method>;
  if (Object.hasOwn(methods, "basicPublish")) return channel;
  const replace = (name: string, check: (args: unknown[]) => void) => {
    const method = methods[name]?.bind(channel) as Method;
    methods[name] = async (...args) => {
      check(args);
      return method(...args);
    };
  };
  for (const [name, [at, known]] of Object.entries(OPTIONS))
    replace(name, (args) => void record(args[at] as object | undefined, "options", known));
  replace("basicPublish", (args) => {
    args[PROPERTIES_AT] = strictProperties(args[PROPERTIES_AT] as AMQPProperties | undefined);
  });
  return channel;
}

/** Properties as amqp-client encodes them, which takes a number for milliseconds. */
export function strictProperties(given: AMQPProperties = {}): AMQPProperties {
  const { timestamp } = checkedProperties(given);
  return timestamp === undefined ? given : { ...given, timestamp: new Date(seconds(timestamp) * 1_000) };
}
