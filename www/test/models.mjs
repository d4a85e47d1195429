// Models: closed forms of queueing theory to compare the page with, independent of the model in Rust.

/** M/M/1 by its closed forms. */
export function mm1(lambda, mu) {
  const rho = lambda / mu;
  if (rho >= 1) return { settles: false, rho, growth: lambda - mu };
  const L = rho / (1 - rho);
  const timeAverageVariance = (2 * rho * (1 + rho)) / (mu * (1 - rho) ** 4);
  const variance = rho / (1 - rho) ** 2;
  return { settles: true, rho, L, Lq: L * rho, W: L / lambda, Wq: (L * rho) / lambda, variance, timeAverageVariance };
}

/** M/M/c by the sums of a textbook. */
export function mmc(lambda, mu, servers) {
  const offered = lambda / mu;
  const rho = offered / servers;
  if (rho >= 1) return { settles: false, rho, growth: lambda - servers * mu };
  const term = (n) =>
    Array.from({ length: n }, (_, k) => offered / (k + 1)).reduce((product, each) => product * each, 1);
  const below = Array.from({ length: servers }, (_, n) => term(n)).reduce((sum, each) => sum + each, 0);
  const above = term(servers) / (1 - rho);
  const Lq = ((above / (below + above)) * rho) / (1 - rho);
  const L = Lq + offered;
  return { settles: true, rho, L, Lq, W: L / lambda, Wq: Lq / lambda };
}
