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

/// What becomes of the queue when it runs on and on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LongRun {
    /// rho < 1: it has a steady state.
    Settles(SteadyState),
    /// rho >= 1: it has none.
    Grows {
        /// lambda - c mu, in messages per unit of time. At rho = 1 it is 0, and the queue still wanders without bound.
        messages_per_unit: f64,
    },
}

/// The steady state of M/M/c. Times are in the unit that the rates are given in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SteadyState {
    queue: MultiServer,
    probability_all_busy: f64,
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
    /// A queue with `servers` servers. Both rates are per unit of time and above 0.
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
        let spare = self.capacity() - self.lambda;
        if spare <= 0.0 {
            return LongRun::Grows { messages_per_unit: -spare };
        }
        let waiting = self.erlang_c();
        let mean_wait = waiting / spare;
        let mean_waiting = self.lambda * mean_wait;
        LongRun::Settles(SteadyState {
            queue: *self,
            probability_all_busy: waiting * spare / self.capacity(),
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

    /// Erlang's first formula B, the share of calls lost without a waiting room, by B_n = a B_(n-1)/(n + a B_(n-1)):
    /// no factorials, so nothing overflows.
    fn erlang_b(&self) -> f64 {
        let load = self.offered_load();
        (1..=self.servers).fold(1.0, |blocked, n| load * blocked / (f64::from(n) + load * blocked))
    }

    /// Erlang's second formula C = c B/(c - a(1 - B)).
    fn erlang_c(&self) -> f64 {
        let (servers, load, blocked) = (f64::from(self.servers), self.offered_load(), self.erlang_b());
        servers * blocked / (servers - load * (1.0 - blocked))
    }
}

impl SteadyState {
    /// P(0): the system is empty.
    pub fn probability_empty(&self) -> f64 {
        self.probability(0)
    }

    /// P(n): n messages are in the system. Above c it is P(c) rho^(n-c); below, P(n) = P(n+1) (n+1)/a, downwards from
    /// P(c), because upwards from P(0) a large load would start at an underflow.
    pub fn probability(&self, messages: u32) -> f64 {
        let servers = self.queue.servers;
        if messages >= servers {
            let beyond = f64::from(messages - servers);
            return self.probability_all_busy * self.queue.utilisation().powf(beyond);
        }
        let load = self.queue.offered_load();
        (messages..servers).rev().fold(self.probability_all_busy, |above, n| above * f64::from(n + 1) / load)
    }

    /// Var N, in messages squared: how far the number in the system scatters about L.
    pub fn variance(&self) -> f64 {
        let below: f64 = self.below_all_busy().iter().enumerate().map(|(n, p)| p * self.deviation(n).powi(2)).sum();
        below + self.probability_all_busy * self.tail_of_squares(self.deviation(self.queue.servers as usize))
    }

    /// The asymptotic variance of the time average of N, in messages squared times time: an average over a time T
    /// scatters about L with variance near this / T, so a 95 % half-width e needs T = (1.96/e)^2 times this.
    ///
    /// 2 sum over n of (sum over i <= n of (i - L) P(i))^2 / (lambda P(n)), where the inner sum is as well minus the sum
    /// over i > n. Each state takes the side on which no deviation changes its sign, so nothing cancels; from c on the
    /// tail is geometric and the sum is closed. For one server it is 2 rho (1 + rho)/(mu (1 - rho)^4).
    pub fn time_average_variance(&self) -> f64 {
        let below_all_busy = self.below_all_busy();
        let split = below_all_busy.len().min(self.mean_in_system.ceil() as usize);
        let (low, high) = below_all_busy.split_at(split);
        let rho = self.queue.utilisation();
        let scale = (1.0 - rho).recip();
        let first = self.deviation(below_all_busy.len());

        let mut sum = self.probability_all_busy * (rho * scale).powi(2) * self.tail_of_squares(first + scale);
        let mut up_to_here = 0.0;
        for (n, &p) in low.iter().enumerate() {
            up_to_here += self.deviation(n) * p;
            sum += square_over(up_to_here, p);
        }
        let mut above_here = self.probability_all_busy * scale * (first + rho * scale);
        for (n, &p) in high.iter().enumerate().rev() {
            sum += square_over(above_here, p);
            above_here += self.deviation(split + n) * p;
        }
        2.0 * sum / self.queue.lambda
    }

    /// n - L.
    fn deviation(&self, messages: usize) -> f64 {
        messages as f64 - self.mean_in_system
    }

    /// P(0) to P(c-1).
    fn below_all_busy(&self) -> Vec<f64> {
        let load = self.queue.offered_load();
        let mut probabilities = vec![0.0; self.queue.servers as usize];
        let mut above = self.probability_all_busy;
        for (n, slot) in probabilities.iter_mut().enumerate().rev() {
            above *= (n + 1) as f64 / load;
            *slot = above;
        }
        probabilities
    }

    /// The sum over m >= 0 of rho^m (first + m)^2.
    fn tail_of_squares(&self, first: f64) -> f64 {
        let rho = self.queue.utilisation();
        let scale = (1.0 - rho).recip();
        first * first * scale + 2.0 * first * rho * scale.powi(2) + rho * (1.0 + rho) * scale.powi(3)
    }
}

/// sum^2/p, or 0 for a state so rare that its probability underflowed.
fn square_over(sum: f64, p: f64) -> f64 {
    if p > 0.0 { sum * sum / p } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let lines = MultiServer::new(8.108, 1.0, 15).expect("valid input");
        printed(lines.erlang_b(), 0.01, 4);
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
        assert_eq!(message(-1.0, 1.0, 1), "lambda must be a finite number above 0, but it is -1");
        assert_eq!(message(1.0, f64::NAN, 1), "mu must be a finite number above 0, but it is NaN");
        assert_eq!(message(1.0, f64::INFINITY, 1), "mu must be a finite number above 0, but it is inf");
        assert_eq!(message(1.0, 1.0, 0), "servers must be a whole number from 1 to 100000, but it is 0");
    }
}
