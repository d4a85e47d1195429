//! Multi-server queue: M/M/c, and M/M/1 as its case of one server.
//!
//! ```text
//!        lambda      lambda            lambda        lambda
//!     0 -------> 1 --------> ... c-1 --------> c --------> c+1 ...
//!       <-------   <--------         <--------   <--------
//!          mu        2 mu              c mu        c mu
//! ```
//! Poisson arrivals at rate lambda, exponential service at rate mu in each of c servers, first come first served, no
//! limit to the waiting room. The offered load is a = lambda/mu, the utilisation rho = a/c.
//!
//! Sources: Erlang (1917) for B and C; Kleinrock, *Queueing Systems* I, 3.2 and 3.5; Whitt, *Planning queueing
//! simulations* (1989) for the variance of a time average, with Burman's sum for a birth-death process.

use super::{InvalidInput, MAX_SERVERS, rate};

/// M/M/c: arrivals, service and servers, checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiServer {
    lambda: f64,
    mu: f64,
    servers: u32,
}

/// Behaviour of the queue in the long run.
#[derive(Clone, Debug, PartialEq)]
pub enum LongRun {
    /// rho < 1: it has a steady state.
    Settles(SteadyState),
    /// rho >= 1: it has none.
    Grows {
        /// lambda - c mu, in messages per unit of time. At rho = 1 it is 0, and the queue still varies without bound.
        messages_per_unit: f64,
    },
}

/// The steady state of M/M/c. Times are in the unit that the rates are given in.
#[derive(Clone, Debug, PartialEq)]
pub struct SteadyState {
    queue: MultiServer,
    /// P(0) to P(c).
    probabilities: Vec<f64>,
    /// 1 - rho, which near 1 has more digits than rho has.
    idle: f64,
    /// L = Lq + a, in messages: waiting or in service.
    pub mean_in_system: f64,
    /// Lq = C rho/(1 - rho), in messages: waiting only.
    pub mean_waiting: f64,
    /// W = Wq + 1/mu, a time: from arrival to the end of service.
    pub mean_sojourn: f64,
    /// Wq = C/(c mu - lambda), a time: from arrival to the start of service.
    pub mean_wait: f64,
    /// C, a probability: an arrival has to wait, by Erlang's second formula.
    pub probability_of_waiting: f64,
}

impl MultiServer {
    /// Makes a queue with `servers` servers. Both rates are per unit of time, from [`super::RATE_MIN`] to
    /// [`super::RATE_MAX`].
    pub fn new(lambda: f64, mu: f64, servers: u32) -> Result<Self, InvalidInput> {
        if !(1..=MAX_SERVERS).contains(&servers) {
            return Err(InvalidInput::Servers { value: f64::from(servers) });
        }
        Ok(Self { lambda: rate("lambda", lambda)?, mu: rate("mu", mu)?, servers })
    }

    /// a = lambda/mu, in servers: how many are busy on average if there are enough of them.
    pub fn offered_load(&self) -> f64 {
        self.lambda / self.mu
    }

    /// rho = lambda/(c mu), a pure number: the share of time that a server is busy, while it is below 1.
    pub fn utilisation(&self) -> f64 {
        self.lambda / self.capacity()
    }

    /// The steady state, or the rate at which the queue grows.
    pub fn long_run(&self) -> LongRun {
        let spare = f64::from(self.servers).mul_add(self.mu, -self.lambda);
        if spare <= 0.0 {
            return LongRun::Grows { messages_per_unit: -spare };
        }
        let idle = spare / self.capacity();
        let probabilities = self.probabilities(idle);
        let waiting = probabilities[self.servers as usize] / idle;
        let mean_wait = waiting / spare;
        let mean_waiting = self.lambda * mean_wait;
        LongRun::Settles(SteadyState {
            queue: *self,
            probabilities,
            idle,
            mean_in_system: mean_waiting + self.offered_load(),
            mean_waiting,
            mean_sojourn: mean_wait + self.mu.recip(),
            mean_wait,
            probability_of_waiting: waiting,
        })
    }

    /// c mu, in messages per unit of time.
    fn capacity(&self) -> f64 {
        f64::from(self.servers) * self.mu
    }

    /// P(0) to P(c), from P(n) n = P(n-1) a.
    ///
    /// They are computed relative to the greatest, P(floor(a)), and from there in both directions, so they only get
    /// smaller: numbers that underflow are negligible beside the others. From either end a large load, or a small one,
    /// would begin at 0.
    fn probabilities(&self, idle: f64) -> Vec<f64> {
        let (load, servers) = (self.offered_load(), self.servers as usize);
        let mode = (load as usize).min(servers);
        let mut weights = vec![1.0; servers + 1];
        for n in mode + 1..=servers {
            weights[n] = weights[n - 1] * load / n as f64;
        }
        for n in (0..mode).rev() {
            weights[n] = weights[n + 1] * (n + 1) as f64 / load;
        }
        let beyond = weights[servers] * (idle.recip() - 1.0);
        let total = weights.iter().sum::<f64>() + beyond;
        weights.iter().map(|weight| weight / total).collect()
    }
}

impl SteadyState {
    /// P(0): the system is empty.
    pub fn probability_empty(&self) -> f64 {
        self.probabilities[0]
    }

    /// P(n): n messages are in the system. Above c it is P(c) rho^(n-c).
    pub fn probability(&self, messages: u32) -> f64 {
        let beyond = messages.saturating_sub(self.queue.servers);
        match self.probabilities.get(messages as usize) {
            Some(&probability) => probability,
            None => self.probability_all_busy() * (f64::from(beyond) * self.log_utilisation()).exp(),
        }
    }

    /// Var N, in messages squared: the variance of the number in the system about L.
    pub fn variance(&self) -> f64 {
        let below: f64 = self.below_all_busy().iter().enumerate().map(|(n, p)| p * self.deviation(n).powi(2)).sum();
        below + self.probability_all_busy() * self.tail_of_squares(self.deviation(self.queue.servers as usize))
    }

    /// The asymptotic variance of the time average of N, in messages squared times time: an average over a time T
    /// scatters about L with variance near this / T, so a 95 % half-width e needs T = (1.96/e)^2 times this.
    ///
    /// 2 sum over n of (sum over i <= n of (i - L) P(i))^2 / (lambda P(n)), where the inner sum also equals minus the
    /// sum over i > n. Each state uses the side on which no deviation changes its sign, so nothing cancels; from c on
    /// the tail is geometric and the sum is closed. For one server it is 2 rho (1 + rho)/(mu (1 - rho)^4).
    pub fn time_average_variance(&self) -> f64 {
        let (rho, load, scale) = (self.queue.utilisation(), self.queue.offered_load(), self.idle.recip());
        let all_busy = self.probability_all_busy();
        let below_all_busy = self.below_all_busy();
        let (low, high) = below_all_busy.split_at(below_all_busy.len().min(self.mean_in_system.ceil() as usize));
        let first = self.deviation(below_all_busy.len());
        // Of sum^2/(a P(n)) nothing underflows before the whole does.
        let term = |sum: f64, p: f64| if p > 0.0 { (sum / load) * (sum / p) } else { 0.0 };

        let mut sum = all_busy / load * (rho * scale).powi(2) * self.tail_of_squares(first + scale);
        let mut up_to_here = 0.0;
        for (n, &p) in low.iter().enumerate() {
            up_to_here += self.deviation(n) * p;
            sum += term(up_to_here, p);
        }
        let mut above_here = all_busy * scale * (first + rho * scale);
        for (n, &p) in high.iter().enumerate().rev() {
            sum += term(above_here, p);
            above_here += self.deviation(low.len() + n) * p;
        }
        2.0 * sum / self.queue.mu
    }

    /// n - L.
    fn deviation(&self, messages: usize) -> f64 {
        messages as f64 - self.mean_in_system
    }

    /// P(c).
    fn probability_all_busy(&self) -> f64 {
        self.probabilities[self.queue.servers as usize]
    }

    /// P(0) to P(c-1).
    fn below_all_busy(&self) -> &[f64] {
        &self.probabilities[..self.queue.servers as usize]
    }

    /// ln rho, from whichever of rho and 1 - rho has the digits.
    fn log_utilisation(&self) -> f64 {
        if self.idle < 0.5 { (-self.idle).ln_1p() } else { self.queue.utilisation().ln() }
    }

    /// The sum over m >= 0 of rho^m (first + m)^2.
    fn tail_of_squares(&self, first: f64) -> f64 {
        let rho = self.queue.utilisation();
        let scale = self.idle.recip();
        first * first * scale + 2.0 * first * rho * scale.powi(2) + rho * (1.0 + rho) * scale.powi(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RATE_MAX, RATE_MIN};

    /// Agreement to the digits that a source prints.
    #[track_caller]
    fn printed(value: f64, expected: f64, decimals: i32) {
        let half_a_digit = 0.5 * 10f64.powi(-decimals);
        assert!((value - expected).abs() <= half_a_digit * (1.0 + 1e-9), "{value} is not the printed {expected}");
    }

    #[track_caller]
    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{value} is not {expected}");
    }

    #[track_caller]
    fn steady(lambda: f64, mu: f64, servers: u32) -> SteadyState {
        match MultiServer::new(lambda, mu, servers).expect("valid input").long_run() {
            LongRun::Settles(steady) => steady,
            LongRun::Grows { messages_per_unit } => panic!("grows by {messages_per_unit}"),
        }
    }

    #[test]
    fn one_server_as_in_bronson_23_3() {
        let steady = steady(24.0, 30.0, 1);
        close(steady.mean_in_system, 4.0);
        close(steady.mean_sojourn, 1.0 / 6.0);
        close(steady.probability_empty(), 0.2);
    }

    #[test]
    fn one_server_as_in_bronson_23_14() {
        let minutes = 60.0;
        let steady = steady(30.0, minutes / 1.5, 1);
        printed(steady.mean_waiting, 2.25, 2);
        printed(steady.mean_wait * minutes, 4.5, 1);
        printed(steady.probability_empty(), 0.25, 2);
    }

    #[test]
    fn three_servers_as_in_bronson_24_6() {
        let steady = steady(300.0, 182.5, 3);
        printed(steady.mean_waiting, 0.352, 3);
        printed(steady.mean_in_system, 1.996, 3);
        printed(steady.mean_wait, 0.001175, 6);
        printed(steady.mean_sojourn, 0.006654, 6);
        printed(steady.probability_empty(), 0.17754, 5);
    }

    #[test]
    fn two_servers_as_in_octave_queueing() {
        let steady = steady(9.0, 5.0, 2);
        printed(steady.mean_waiting, 7.674, 3);
        printed(steady.mean_sojourn, 1.053, 3);
    }

    #[test]
    fn erlang_b_as_in_the_tables() {
        let waiting = steady(8.108, 1.0, 15).probability_of_waiting;
        let rho = 8.108 / 15.0;
        printed(waiting * (1.0 - rho) / (1.0 - rho * waiting), 0.01, 4);
    }

    #[test]
    fn one_server_has_its_closed_forms() {
        let (lambda, mu) = (9.0, 10.0);
        let rho: f64 = lambda / mu;
        let steady = steady(lambda, mu, 1);
        close(steady.mean_in_system, rho / (1.0 - rho));
        close(steady.mean_waiting, rho * rho / (1.0 - rho));
        close(steady.variance(), rho / (1.0 - rho).powi(2));
        close(steady.time_average_variance(), 2.0 * rho * (1.0 + rho) / (mu * (1.0 - rho).powi(4)));
        for n in 0..50 {
            close(steady.probability(n), (1.0 - rho) * rho.powf(f64::from(n)));
        }
    }

    #[test]
    fn moments_agree_with_the_distribution() {
        for (lambda, mu, servers) in [(9.0, 5.0, 2), (1.0, 1.0, 4), (95.0, 1.0, 100)] {
            let steady = steady(lambda, mu, servers);
            let distribution: Vec<f64> = (0..4_000).map(|n| steady.probability(n)).collect();
            let mean: f64 = distribution.iter().enumerate().map(|(n, p)| n as f64 * p).sum();
            let square: f64 = distribution.iter().enumerate().map(|(n, p)| (n as f64 - mean).powi(2) * p).sum();
            close(distribution.iter().sum(), 1.0);
            close(steady.mean_in_system, mean);
            close(steady.variance(), square);
            close(steady.mean_in_system, lambda * steady.mean_sojourn);
        }
    }

    #[test]
    fn a_time_average_of_few_busy_servers_scatters_as_if_they_were_endless() {
        // In M/M/inf the covariance of N is a e^(-mu t), whose integral over all t is 2a/mu.
        let steady = steady(10.0, 1.0, 200);
        close(steady.time_average_variance(), 2.0 * 10.0);
    }

    #[test]
    fn a_large_system_neither_overflows_nor_underflows() {
        let steady = steady(99_000.0, 1.0, MAX_SERVERS);
        assert!(steady.mean_in_system >= 99_000.0 && steady.mean_in_system < 99_100.0);
        assert!(steady.time_average_variance().is_finite());
        assert_eq!(steady.probability_empty(), 0.0);
    }

    #[test]
    fn every_figure_is_that_of_exact_arithmetic() {
        for line in include_str!("multi_server.txt").lines().filter(|line| !line.starts_with('#')) {
            let values: Vec<f64> = line.split(' ').map(|value| value.parse().expect("a number")).collect();
            let [servers, lambda, mu, expected @ ..] = values.as_slice() else { panic!("{line}") };
            let steady = steady(*lambda, *mu, *servers as u32);
            let figures = [
                steady.probability_of_waiting,
                steady.mean_in_system,
                steady.mean_sojourn,
                steady.probability_empty(),
                steady.variance(),
                steady.time_average_variance(),
            ];
            for (figure, expected) in figures.into_iter().zip(expected) {
                let off = (figure - expected).abs();
                assert!(off <= 1e-11 * expected || off < 1e-300, "{figure} is not {expected} in: {line}");
            }
            close(steady.mean_waiting, steady.mean_in_system - steady.queue.offered_load());
        }
    }

    /// P(0) to P(c) by logarithms, as n ln a - ln n! at first.
    fn by_logarithms(load: f64, servers: u32) -> Vec<f64> {
        let mut log_factorial = 0.0;
        let logs: Vec<f64> = (0..=servers)
            .map(|n| {
                log_factorial += f64::from(n.max(1)).ln();
                f64::from(n) * load.ln() - log_factorial
            })
            .collect();
        let greatest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logs.iter().map(|log| (log - greatest).exp()).collect();
        let rho = load / f64::from(servers);
        let total = weights.iter().sum::<f64>() + weights[servers as usize] * rho / (1.0 - rho);
        weights.iter().map(|weight| weight / total).collect()
    }

    #[test]
    fn the_distribution_is_the_one_by_logarithms_and_adds_up_to_1() {
        let shares = [1e-12, 1e-9, 1e-4, 0.003, 0.1, 0.37, 0.5, 0.77, 0.9, 0.99, 0.999, 0.999_999];
        for servers in [1, 2, 5, 17, 60, 149, 150, 171, 400, 1_000, 2_500, 10_000] {
            for share in shares {
                let load = share * f64::from(servers);
                let steady = steady(load, 1.0, servers);
                for (n, expected) in by_logarithms(load, servers).into_iter().enumerate() {
                    let probability = steady.probability(n as u32);
                    let off = (probability - expected).abs();
                    assert!(off <= 1e-9 * expected || off < 1e-300, "P({n}) of {servers} servers at {share}");
                }
                let beyond = steady.probability(servers + 1) / (1.0 - share);
                close((0..=servers).map(|n| steady.probability(n)).sum::<f64>() + beyond, 1.0);
            }
        }
    }

    #[test]
    fn nothing_is_infinite_or_no_number_at_the_ends_of_the_range() {
        let rates = [RATE_MIN, 1e-50, 1.0, 1e50, RATE_MAX];
        let loads = [1e-200, 1e-100, 1e-16, 0.5, 1.0 - 1e-15, f64::from_bits(1f64.to_bits() - 1), 1.0, 1e15, 1e200];
        for servers in [1, 3, 1_000, MAX_SERVERS] {
            for (mu, load) in rates.into_iter().flat_map(|mu| loads.map(|load| (mu, load))) {
                let Ok(queue) = MultiServer::new(load * mu * f64::from(servers), mu, servers) else { continue };
                let figures = match queue.long_run() {
                    LongRun::Grows { messages_per_unit } => vec![messages_per_unit],
                    LongRun::Settles(steady) => vec![
                        steady.mean_in_system,
                        steady.mean_waiting,
                        steady.mean_sojourn,
                        steady.mean_wait,
                        steady.probability_of_waiting,
                        steady.probability_empty(),
                        steady.probability(u32::MAX),
                        steady.variance(),
                        steady.time_average_variance(),
                    ],
                };
                assert!(figures.iter().all(|figure| (0.0..f64::INFINITY).contains(figure)), "{queue:?}: {figures:?}");
            }
        }
    }

    #[test]
    fn an_overload_grows_and_is_never_clamped() {
        let overload = MultiServer::new(25.0, 10.0, 2).expect("valid input");
        assert_eq!(overload.utilisation(), 1.25);
        assert_eq!(overload.long_run(), LongRun::Grows { messages_per_unit: 5.0 });
        let critical = MultiServer::new(20.0, 10.0, 2).expect("valid input");
        assert_eq!(critical.long_run(), LongRun::Grows { messages_per_unit: 0.0 });
    }

    #[test]
    fn bad_input_is_named() {
        let message = |lambda, mu, servers| MultiServer::new(lambda, mu, servers).expect_err("invalid").to_string();
        let rate = "must be a number from 1e-100 to 1e100, but it is";
        for bad in [-1.0, 0.0, -0.0, 5e-324, 1e-101, 1.1e100, 1e308, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(message(bad, 1.0, 1), format!("lambda {rate} {bad:?}"));
            assert_eq!(message(1.0, bad, 1), format!("mu {rate} {bad:?}"));
        }
        assert_eq!(message(1.0, 1.0, 0), "servers must be a whole number from 1 to 100000, but it is 0");
    }
}
