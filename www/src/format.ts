// Format: numbers and times for people to read.

/** A narrow no-break space, between a number and its unit. */
const GAP = "\u202f";

/** Formats a count, with thousands separated. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** Formats a quantity with three significant digits, or as a dash if there is none. */
export function quantity(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size > 0 && size < 0.0005) return "under 0.001";
  if (size >= 999.5) return count(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3);
}

/** Formats a rate without trailing zeros. */
export function plain(value: number): string {
  if (value > 0 && value < 0.0005) return "under 0.001";
  return value.toLocaleString("en", { maximumFractionDigits: 3 });
}

/** Formats a time in the unit that suits it. */
export function duration(seconds: number | undefined): string {
  if (seconds === undefined || Number.isNaN(seconds)) return "–";
  if (seconds >= 999.5) return longDuration(seconds);
  if (Math.abs(seconds) < 0.9995) return `${threeDigits(seconds * 1000)}${GAP}ms`;
  return `${threeDigits(seconds)}${GAP}s`;
}

const UNITS: [string, number][] = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
];

/** A longer time is not shown exactly. */
const MONTH_S = 30 * 86_400;

/** Formats a long time in its two largest units. */
export function longDuration(seconds: number): string {
  if (seconds > MONTH_S) return "over a month";
  const whole = Math.max(0, Math.round(seconds));
  const first = UNITS.findIndex(([, size]) => whole >= size);
  if (first === -1) return `0${GAP}s`;
  let left = whole;
  const parts = UNITS.slice(first, first + 2).map(([unit, size]) => {
    const amount = Math.floor(left / size);
    left -= amount * size;
    return amount > 0 ? `${amount}${GAP}${unit}` : "";
  });
  return parts.filter(Boolean).join(" ");
}

/** Steps to round an estimate to, in seconds. */
const STEPS = [1, 5, 60, 300, 3600, 43_200, 86_400];

/** Formats an estimated time, rounded so that it does not change all the time. */
export function roughly(seconds: number): string {
  const step = STEPS.findLast((each) => each <= seconds / 5) ?? 1;
  return longDuration(Math.max(1, Math.round(seconds / step)) * step);
}

/** Formats a share, such as 0.123, as a percentage. */
export function percent(share: number): string {
  const value = share * 100;
  const nearlyAll = value > 98 && value < 100;
  return `${value.toFixed(Math.abs(value) < 9.95 || nearlyAll ? 1 : 0)}${GAP}%`;
}

/** Formats a difference as a signed percentage, with a real minus so that digits line up; large ones as a multiple. */
export function signedPercent(share: number): string {
  if (share >= 3) return share < 999 ? `${count(share + 1)} times` : "over 1,000 times";
  const text = percent(Math.abs(share));
  if (text === percent(0)) return text;
  return `${share < 0 ? "−" : "+"}${text}`;
}

function threeDigits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}
