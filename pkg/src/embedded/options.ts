// Options: how brokers, exchanges, queues and consumers are wanted, and the checks of what was given.
import type { Limits, Table } from "../core/abi.js";
import { callable, flag, optionalWhole, record, shortText, whole, wrong } from "../core/arguments.js";
import { type Clock, ManualClock, SystemClock } from "../core/clock.js";
import { EXCHANGE_FLAGS, QUEUE_FLAGS } from "../core/flags.js";
import type { ConsumerArguments, ExchangeArguments, QueueArguments } from "../core/named-arguments.js";
import { faultOf } from "../core/patterns.js";

/** How to make a broker. */
export interface BrokerOptions extends Limits {
  /** "system" (default) follows the system's clock; with "manual", time starts at 0 and moves only by `advance`. */
  clock?: "system" | "manual" | undefined;
  /** 32 bytes that the names made by the broker come from. Random when not given; a fixed seed makes them repeat. */
  seed?: Uint8Array | undefined;
  /** Told of what a consumer's callback threw. By default it is reported as an uncaught error. */
  onError?: ((error: unknown) => void) | undefined;
}

/** How to declare an exchange. */
export interface ExchangeOptions {
  /** Only check that it exists. */
  passive?: boolean | undefined;
  durable?: boolean | undefined;
  /** Delete it when its last binding goes. */
  autoDelete?: boolean | undefined;
  /** Refuse publishing to it: only bindings from other exchanges feed it. */
  internal?: boolean | undefined;
  arguments?: ExchangeArguments | undefined;
}

/** How to declare a queue. */
export interface QueueOptions {
  /** Only check that it exists. */
  passive?: boolean | undefined;
  durable?: boolean | undefined;
  /** Refuse it to other connections; it goes when this broker closes. */
  exclusive?: boolean | undefined;
  /** Delete it when its last consumer leaves. */
  autoDelete?: boolean | undefined;
  arguments?: QueueArguments | undefined;
}

/** How to take messages. */
export interface GetOptions {
  /** Settle each message as it is taken: there is nothing to ack. */
  noAck?: boolean | undefined;
  /** Milliseconds until a message that is neither acked nor nacked becomes ready again (default: never). */
  visibilityTimeoutMs?: number | undefined;
}

/** How to consume. */
export interface ConsumeOptions {
  /** The consumer's name; the broker makes one when it is not given. */
  consumerTag?: string | undefined;
  /** Settle each message as it is delivered: there is nothing to ack. */
  noAck?: boolean | undefined;
  /** Refuse other consumers of the queue. */
  exclusive?: boolean | undefined;
  /** Messages delivered and not yet acked at most; 0 (default) is no limit. */
  prefetch?: number | undefined;
  arguments?: ConsumerArguments | undefined;
  /** Called when the consumer's queue is deleted. */
  onCancel?: (() => void) | undefined;
}

/** What a policy sets, and for whom. */
export interface PolicyOptions {
  /** A regular expression in the syntax of PCRE, that matches anywhere in a name. */
  pattern: string;
  /** What it is for (default: all). */
  applyTo?: (typeof APPLY_TO)[number] | undefined;
  /** Of several policies that match, the one with the highest priority applies, alone (default 0). */
  priority?: number | undefined;
  /** Such as `{ "message-ttl": 60000 }`: names of arguments without their `x-`. */
  definition: Table;
}

export const LIMITS = [
  "memoryMaxBytes",
  "memoryHighBytes",
  "messageMaxBytes",
  "frameMaxBytes",
  "channelMax",
  "heartbeatSeconds",
] as const;
export const APPLY_TO = ["queues", "classic_queues", "quorum_queues", "exchanges", "all"] as const;
export { EXCHANGE_FLAGS, QUEUE_FLAGS };

/** Only the limits of some options, each a whole number. */
export function checkedLimits(options: Limits): Limits {
  return Object.fromEntries(LIMITS.map((name) => [name, optionalWhole(options[name], name)]));
}

/** 32 bytes, or undefined. */
export function checkedSeed(seed: unknown): Uint8Array | undefined {
  if (seed === undefined || (seed instanceof Uint8Array && seed.length === 32)) return seed;
  throw wrong("seed", "a Uint8Array of 32 bytes", seed);
}

/** The clock that a name stands for. */
export function clockOf(clock: unknown): Clock {
  if (clock === undefined || clock === "system") return new SystemClock();
  if (clock === "manual") return new ManualClock();
  throw new TypeError('clock must be "system" or "manual".');
}

/** A declaration as the wasm takes it. */
export function declared<T extends { arguments?: object | undefined }>(
  options: T | undefined,
  flags: readonly (string & keyof T)[],
): object {
  const chosen = record(options, "options", [...flags, "arguments"]) as T;
  const checked = flags.map((name) => [name, flag(chosen[name], name)] as const);
  return { ...Object.fromEntries(checked), arguments: record(chosen.arguments, "arguments") };
}

/** A policy, checked, each part with a value. */
export function policyOf(policy: PolicyOptions): Required<PolicyOptions> {
  const chosen = record(policy, "policy", ["pattern", "applyTo", "priority", "definition"]);
  const { applyTo = "all", pattern, priority = 0 } = chosen;
  if (typeof pattern !== "string") throw wrong("pattern", "a regular expression as a string", pattern);
  const fault = faultOf(pattern);
  if (fault !== undefined) throw new TypeError(`pattern must be a regular expression (${fault}).`);
  if (!APPLY_TO.includes(applyTo)) throw new TypeError(`applyTo must be one of ${APPLY_TO.join(", ")}.`);
  const definition = record(chosen.definition, "definition") as Table;
  return { pattern, applyTo, priority: whole(priority, "priority", -(2 ** 31), 2 ** 31 - 1), definition };
}

/** A consumer's options, each with a value. */
export function consumption(options: ConsumeOptions | undefined) {
  const known = ["consumerTag", "noAck", "exclusive", "prefetch", "arguments", "onCancel"];
  const chosen = record(options, "options", known);
  return {
    consumerTag: shortText(chosen.consumerTag ?? "", "consumerTag"),
    onCancel: chosen.onCancel && callable(chosen.onCancel, "onCancel"),
    noAck: flag(chosen.noAck, "noAck"),
    exclusive: flag(chosen.exclusive, "exclusive"),
    prefetch: optionalWhole(chosen.prefetch, "prefetch", 0, 65_535) ?? 0,
    arguments: record(chosen.arguments, "arguments"),
  };
}
