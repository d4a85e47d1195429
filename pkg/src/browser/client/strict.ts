// Strict: channels that check options and properties as the embedded broker does, and refuse unknown ones.
import type { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";
import type { AMQPProperties } from "@cloudamqp/amqp-client/amqp-properties";
import { record } from "../../core/arguments.js";
import { EXCHANGE_FLAGS, QUEUE_FLAGS } from "../../core/flags.js";
import { checkedProperties, seconds } from "../../core/properties.js";

/** The position of the options among each method's arguments, and their names. */
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

/** Makes a channel's methods check their arguments. */
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

/** Converts properties to the form that amqp-client encodes, which takes a number for milliseconds. */
export function strictProperties(given: AMQPProperties = {}): AMQPProperties {
  const { timestamp } = checkedProperties(given);
  return timestamp === undefined ? given : { ...given, timestamp: new Date(seconds(timestamp) * 1_000) };
}
