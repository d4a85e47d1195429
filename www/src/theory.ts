// Theory: what the model says of a load, the cases that the formulas leave out included, and how far off an average may be.
import type { Prediction, SteadyState } from "pocketmq/model";
import type { Load } from "./load/messages.ts";

/** The formula, from the Rust model. */
export type Mmc = (lambda: number, mu: number, servers: number) => Prediction;

export type Theory =
  /** No arrivals: it empties and stays empty. */
  | { kind: "idle"; rho: 0 }
  | { kind: "settles"; rho: number; steady: SteadyState }
  /** It grows by so many messages per second; without consumers there is no rho. */
  | { kind: "grows"; rho: number | undefined; growth: number }
  /** So many consumers are others', of which nobody here knows how fast they are. */
  | { kind: "unknown"; rho: undefined; others: number };

/** How a queue goes on. */
export type Regime =
  | "idle"
  | "settles"
  | "drains"
  | "grows"
  | "early"
  /** Others consume, at rates that nobody here knows. */
  | "others"
  /** The queue does what neither theory nor chance explains. */
  | "unexplained";

/** What the model predicts for a load. */
export function predict(mmc: Mmc, { lambda, mu, consumers }: Load): Theory {
  if (lambda === 0) return { kind: "idle", rho: 0 };
  if (consumers === 0) return { kind: "grows", rho: undefined, growth: lambda };
  const prediction = mmc(lambda, mu, consumers);
  if (prediction.settles) return { kind: "settles", rho: prediction.rho, steady: prediction };
  return { kind: "grows", rho: prediction.rho, growth: prediction.growth };
}

/** Two-sided 95 % of the normal distribution. */
export const Z_95 = 1.96;

/** A run is called converged when its average is expected within this share of L. */
export const CONVERGED = 0.01;

/**
 * The half-width, in messages, within which the average of a run of so many seconds is expected 95 times in 100, by the
 * model itself. A run too short for the asymptotic variance cannot scatter more than the number itself does.
 */
export function halfWidth(steady: SteadyState, seconds: number): number {
  return Z_95 * Math.sqrt(Math.min(steady.timeAverageVariance / seconds, steady.variance));
}

/** The seconds that a run takes until its average is expected within this share of L. */
export function secondsTo(share: number, steady: SteadyState): number {
  return (Z_95 / (share * steady.L)) ** 2 * steady.timeAverageVariance;
}
