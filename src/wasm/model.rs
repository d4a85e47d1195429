//! Model exports: queueing theory for JavaScript, as plain objects. Only in the *lab* artifact.

use serde::Serialize;
use wasm_bindgen::prelude::*;

use crate::model::{InvalidInput, LongRun, MAX_PROBABILITIES, MAX_SERVERS, MultiServer, SteadyState};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/**
 * The predictions of M/M/c. Rates are per unit of time, and every time is in that unit: rates per second give seconds.
 */
export type Prediction = SteadyState | Overload;

/** rho < 1: the queue has a steady state. */
export interface SteadyState {
  settles: true;
  /** Utilisation, lambda / (servers mu). */
  rho: number;
  /** Mean number in the system: ready + unacked. */
  L: number;
  /** Mean number waiting: ready. */
  Lq: number;
  /** Mean time from publish to ack. */
  W: number;
  /** Mean time from publish to delivery. */
  Wq: number;
  /** Probability that the system is empty. */
  P0: number;
  /** Probability that an arrival has to wait (Erlang C). */
  C: number;
  /** Variance of the number in the system. */
  variance: number;
  /** Asymptotic variance of the time average of the number in the system: over a time T it scatters with this / T. */
  timeAverageVariance: number;
}

/** rho >= 1: it has none, and grows. */
export interface Overload {
  settles: false;
  /** Utilisation, lambda / (servers mu). */
  rho: number;
  /** lambda - servers mu, messages per unit of time. */
  growth: number;
}

/**
 * M/M/c, and M/M/1 with one server. Rates are numbers from 1e-100 to 1e100, servers a whole number from 1 to 100,000; any
 * other input is named in the Error that is thrown.
 */
export function mmc(lambda: number, mu: number, servers: number): Prediction;

/**
 * P(0) to P(count - 1): the probabilities of so many messages in the system, for a count of at most 1,000,000. Empty when
 * it has no steady state.
 */
export function mmcDistribution(lambda: number, mu: number, servers: number, count: number): Float64Array;
"#;

#[derive(Serialize)]
struct Steady {
    settles: bool,
    rho: f64,
    #[serde(rename = "L")]
    in_system: f64,
    #[serde(rename = "Lq")]
    waiting: f64,
    #[serde(rename = "W")]
    sojourn: f64,
    #[serde(rename = "Wq")]
    wait: f64,
    #[serde(rename = "P0")]
    empty: f64,
    #[serde(rename = "C")]
    probability_of_waiting: f64,
    variance: f64,
    #[serde(rename = "timeAverageVariance")]
    time_average_variance: f64,
}

#[derive(Serialize)]
struct Overload {
    settles: bool,
    rho: f64,
    growth: f64,
}

/// M/M/c; see `TYPES`.
#[wasm_bindgen(skip_typescript)]
pub fn mmc(lambda: f64, mu: f64, servers: f64) -> Result<JsValue, JsError> {
    let queue = multi_server(lambda, mu, servers)?;
    let rho = queue.utilisation();
    let prediction = match queue.long_run() {
        LongRun::Settles(steady) => serde_wasm_bindgen::to_value(&report(rho, &steady)),
        LongRun::Grows { messages_per_unit } => {
            serde_wasm_bindgen::to_value(&Overload { settles: false, rho, growth: messages_per_unit })
        }
    };
    Ok(prediction?)
}

/// The first probabilities of M/M/c; see `TYPES`.
#[wasm_bindgen(js_name = mmcDistribution, skip_typescript)]
pub fn mmc_distribution(lambda: f64, mu: f64, servers: f64, count: f64) -> Result<Vec<f64>, JsError> {
    let count = whole(count, 0, MAX_PROBABILITIES).ok_or(InvalidInput::Count { value: count })?;
    Ok(match multi_server(lambda, mu, servers)?.long_run() {
        LongRun::Settles(steady) => (0..count).map(|n| steady.probability(n)).collect(),
        LongRun::Grows { .. } => Vec::new(),
    })
}

fn report(rho: f64, steady: &SteadyState) -> Steady {
    Steady {
        settles: true,
        rho,
        in_system: steady.mean_in_system,
        waiting: steady.mean_waiting,
        sojourn: steady.mean_sojourn,
        wait: steady.mean_wait,
        empty: steady.probability_empty(),
        probability_of_waiting: steady.probability_of_waiting,
        variance: steady.variance(),
        time_average_variance: steady.time_average_variance(),
    }
}

fn multi_server(lambda: f64, mu: f64, servers: f64) -> Result<MultiServer, InvalidInput> {
    let servers = whole(servers, 1, MAX_SERVERS).ok_or(InvalidInput::Servers { value: servers })?;
    MultiServer::new(lambda, mu, servers)
}

/// Returns the number, if it is a whole one from `least` to `most`.
fn whole(value: f64, least: u32, most: u32) -> Option<u32> {
    let fits = value.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&value);
    fits.then_some(value as u32)
}
