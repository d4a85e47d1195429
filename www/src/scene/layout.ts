// Layout: the places of the picture's parts, by arithmetic alone.

export interface Point {
  x: number;
  y: number;
}

/** The lane in which ready messages wait; its head is on the right. */
export interface Lane {
  left: number;
  top: number;
  width: number;
  height: number;
}

export interface Layout {
  producers: Point[];
  lane: Lane;
  consumers: Point[];
  consumerRadius: number;
}

/** The arrangement of ready messages in the lane. */
export interface Grid {
  /** Distance between neighbours. */
  pitch: number;
  columns: number;
  rows: number;
}

/** The columns of the picture, equal to those of the figures above it in CSS. */
const PRODUCERS_SHARE = 0.14;
const PRODUCERS_MIN = 64;
const CONSUMERS_SHARE = 0.22;
const CONSUMERS_MIN = 92;

const LANE_MARGIN = 12;
const PITCHES = [18, 15, 12, 9, 7, 5.5, 4.5, 3.5];

export function layOut(width: number, height: number, producers: number, consumers: number): Layout {
  const left = Math.max(PRODUCERS_MIN, width * PRODUCERS_SHARE);
  const right = Math.max(CONSUMERS_MIN, width * CONSUMERS_SHARE);
  const lane = { left, top: LANE_MARGIN, width: width - left - right, height: height - 2 * LANE_MARGIN };
  const { points, radius } = consumerPlaces({ ...lane, left: width - right, width: right }, consumers);
  return { producers: column(left * 0.4, height, producers), lane, consumers: points, consumerRadius: radius };
}

/**
 * Returns the roomiest grid for this many messages; it returns to a roomier one only when that is well short of full.
 */
export function gridFor(messages: number, lane: Lane, before?: Grid): Grid {
  for (const pitch of PITCHES) {
    const columns = Math.max(1, Math.floor((lane.width - pitch) / pitch));
    const rowsMax = Math.max(1, Math.floor((lane.height - pitch) / pitch));
    const roomier = before !== undefined && pitch > before.pitch;
    if (messages > columns * rowsMax * (roomier ? 0.7 : 1)) continue;
    const rows = Math.max(1, Math.ceil(messages / columns));
    const keepsRows = before?.pitch === pitch && rows < before.rows && messages > (before.rows - 1) * columns * 0.7;
    return { pitch, columns, rows: keepsRows ? before.rows : rows };
  }
  const pitch = PITCHES.at(-1) ?? 1;
  return { pitch, columns: Math.floor(lane.width / pitch), rows: Math.floor(lane.height / pitch) };
}

/** Returns the place of the n-th message from the head: the queue winds up and down, column by column, like a snake. */
export function slot(n: number, lane: Lane, grid: Grid): Point {
  const column = Math.floor(n / grid.rows);
  const along = n % grid.rows;
  const row = column % 2 === 0 ? along : grid.rows - 1 - along;
  return {
    x: lane.left + lane.width - grid.pitch * (column + 1),
    y: lane.top + lane.height / 2 + (row - (grid.rows - 1) / 2) * grid.pitch,
  };
}

/** Returns the largest number of messages that the lane can show as discs. */
export function readyMax(lane: Lane): number {
  const pitch = PITCHES.at(-1) ?? 1;
  return Math.floor((lane.width - pitch) / pitch) * Math.floor((lane.height - pitch) / pitch);
}

/**
 * Returns the scale of a full bar: the next of 10, 20, 50, 100 ...; it shrinks only when the smaller one is well short
 * of full.
 */
export function fullFor(messages: number, before = 0): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(10, messages)));
  const least = [1, 2, 5].map((step) => step * power).find((full) => full >= messages) ?? 10 * power;
  return least < before && messages > before * 0.35 ? before : least;
}

const ELSEWHERE_PITCH = 8;

/** Returns the largest number of other clients' messages that can be shown as discs, in a row below the lane's end. */
export function elsewhereMax(lane: Lane): number {
  return Math.floor(lane.width / ELSEWHERE_PITCH / 2);
}

/** Returns the place of the n-th of them. */
export function elsewhereSlot(n: number, { left, top, width, height }: Lane): Point {
  return { x: left + width - ELSEWHERE_PITCH * (n + 0.5), y: top + height + LANE_MARGIN / 2 };
}

function column(x: number, height: number, count: number): Point[] {
  const gap = Math.min(52, height / (count + 0.5));
  return Array.from({ length: count }, (_, n) => ({ x, y: height / 2 + (n - (count - 1) / 2) * gap }));
}

function consumerPlaces(area: Lane, count: number): { points: Point[]; radius: number } {
  const rows = Math.min(count, count <= 4 ? count : Math.ceil(count / Math.ceil(count / 6)));
  const columns = Math.max(1, Math.ceil(count / Math.max(1, rows)));
  const stepX = Math.min(60, area.width / (columns + 0.3));
  const stepY = Math.min(60, area.height / (rows + 0.2));
  const points = Array.from({ length: count }, (_, n) => ({
    x: area.left + area.width / 2 + (Math.floor(n / rows) - (columns - 1) / 2) * stepX,
    y: area.top + area.height / 2 + ((n % rows) - (rows - 1) / 2) * stepY,
  }));
  return { points, radius: Math.max(5, Math.min(20, 0.4 * Math.min(stepX, stepY))) };
}
