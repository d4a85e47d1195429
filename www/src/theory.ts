// Theory: the model's prediction for a load, including the cases that the formulas do not cover, and the spread of an
// average.
import type { Prediction, SteadyState } from "pocketmq/model";
import type { Load } from "./load/messages.ts";

/** The formula, from the Rust model. */
export type Mmc = (lambda: number, mu: number, servers: number) => Prediction;

export type Theory =
  /** No arrivals: the queue drains and stays empty. */
  | { kind: "idle"; rho: 0 }
  | { kind: "settles"; rho: number; steady: SteadyState }
  /** The queue grows by this many messages per second; without consumers there is no rho. */
  | { kind: "grows"; rho: number | undefined; growth: number }
  /** Some consumers are not this page's, and their rate is unknown. */
  | { kind: "unknown"; rho: undefined; others: number };

/** How the queue behaves. */
export type Regime =
  | "idle"
  | "settles"
  | "drains"
  | "grows"
  | "early"
  /** Other clients consume, at unknown rates. */
  | "others"
  /** The queue behaves in a way that neither theory nor chance explains. */
  | "unexplained";

/** Returns the model's prediction for a load. */
export function predict(mmc: Mmc, { lambda, mu, consumers }: Load): Theory {
  if (lambda === 0) return { kind: "idle", rho: 0 };
  if (consumers === 0) return { kind: "grows", rho: undefined, growth: lambda };
  const prediction = mmc(lambda, mu, consumers);
  if (prediction.settles) return { kind: "settles", rho: prediction.rho, steady: prediction };
  return { kind: "grows", rho: prediction.rho, growth: prediction.growth };
}

/** Two-sided 95 % quantile of the normal distribution. */
export const Z_95 = 1.96;

/** An average has converged when its 95 % interval is within this share of L. */
export const CONVERGED = 0.01;

/**
 * Returns the half-width, in messages, of the 95 % interval of a run's average after this many seconds, by the model
 * itself. In a run too short for the asymptotic variance the average scatters no more than the number itself.
 */
export function halfWidth(steady: SteadyState, seconds: number): number {
  return Z_95 * Math.sqrt(Math.min(steady.timeAverageVariance / seconds, steady.variance));
}

/** Returns the seconds until a run's 95 % interval is within this share of L. */
export function secondsTo(share: number, steady: SteadyState): number {
  return (Z_95 / (share * steady.L)) ** 2 * steady.timeAverageVariance;
}
