// Paint: the strokes of the picture. Nothing here has state.
import type { Palette } from "../palette.ts";
import type { Dot, Hand } from "./dots.ts";
import type { Lane, Layout, Point } from "./layout.ts";

const TURN = 2 * Math.PI;
const PRODUCER_SIZE = 22;
/** The share of a consumer's ring that a full bar fills. */
const BOWL = 0.8;

/** Numbers of messages, or the scales of full bars. */
export interface Bars {
  ready: number;
  unacked: number;
}

/** The static parts: the ways to the lane and from it, and the consumers' rings. */
export function scenery(context: CanvasRenderingContext2D, layout: Layout, palette: Palette, consumers: number): void {
  const { lane } = layout;
  const middle = lane.top + lane.height / 2;
  context.strokeStyle = palette.line;
  context.lineWidth = 1.5;
  context.beginPath();
  for (const from of layout.producers) way(context, from, { x: lane.left, y: middle });
  for (const to of layout.consumers) way(context, { x: lane.left + lane.width, y: middle }, to);
  context.stroke();

  context.lineWidth = 2;
  for (const [place, { x, y }] of layout.consumers.entries()) {
    context.beginPath();
    context.arc(x, y, layout.consumerRadius, 0, TURN);
    context.fillStyle = palette.surface;
    context.fill();
    context.globalAlpha = place < consumers ? 1 : 0.5;
    context.strokeStyle = palette.line;
    context.stroke();
    context.globalAlpha = 1;
  }
}

/** The lane in which messages wait, as thick as needed. */
export function tube(context: CanvasRenderingContext2D, lane: Lane, thickness: number, palette: Palette): void {
  context.fillStyle = palette.lane;
  context.strokeStyle = palette.line;
  context.lineWidth = 1;
  context.beginPath();
  const radius = Math.min(26, thickness / 2);
  context.roundRect(lane.left, lane.top + (lane.height - thickness) / 2, lane.width, thickness, radius);
  context.fill();
  context.stroke();
}

/** The producers; each flashes when it publishes. */
export function producers(
  context: CanvasRenderingContext2D,
  places: Point[],
  flashes: number[],
  palette: Palette,
): void {
  for (const [place, { x, y }] of places.entries()) {
    const flash = flashes[place] ?? 0;
    const size = PRODUCER_SIZE + 4 * flash;
    context.beginPath();
    context.roundRect(x - size / 2, y - size / 2, size, size, 7);
    context.fillStyle = palette.surface;
    context.fill();
    context.fillStyle = palette.producer;
    context.globalAlpha = 0.14 + 0.6 * flash;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = palette.producer;
    context.lineWidth = 2;
    context.stroke();
  }
}

/** Draws messages, one disc each, and returns their number. */
export function dots(context: CanvasRenderingContext2D, all: Iterable<Dot>, radius: number, colour: string): number {
  let drawn = 0;
  context.fillStyle = colour;
  context.beginPath();
  for (const { x, y } of all) {
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, TURN);
    drawn++;
  }
  context.fill();
  return drawn;
}

/** Dashes on the ways to the lane and from it, for more messages than the eye can follow. */
export function flow(context: CanvasRenderingContext2D, layout: Layout, moved: number, palette: Palette): void {
  const { lane } = layout;
  const middle = lane.top + lane.height / 2;
  context.lineWidth = 3;
  context.setLineDash([7, 9]);
  context.lineDashOffset = -moved;
  context.strokeStyle = palette.producer;
  context.beginPath();
  for (const from of layout.producers) way(context, from, { x: lane.left, y: middle });
  context.stroke();
  context.strokeStyle = palette.unacked;
  context.beginPath();
  for (const to of layout.consumers) way(context, { x: lane.left + lane.width, y: middle }, to);
  context.stroke();
  context.setLineDash([]);
}

/**
 * Draws ready messages as a bar in the lane, from its head, and unacked ones as a level in each ring; `full` is the
 * scale of a full bar. Returns the numbers of messages that the bar and the rings show as drawn.
 */
export function bars(
  context: CanvasRenderingContext2D,
  layout: Layout,
  thickness: number,
  counts: Bars,
  full: Bars,
  palette: Palette,
): Bars {
  const length = readyBar(context, layout.lane, thickness, counts.ready / full.ready, palette);
  const { consumerRadius } = layout;
  const level = 2 * consumerRadius * BOWL * Math.min(1, counts.unacked / full.unacked);
  for (const centre of layout.consumers) bowl(context, centre, consumerRadius, level, palette);
  const seen = layout.consumers.length > 0 ? level : 0;
  return {
    ready: Math.round((length / layout.lane.width) * full.ready),
    unacked: Math.round((seen / (2 * consumerRadius * BOWL)) * full.unacked),
  };
}

/** Draws the bar and returns its length in pixels. */
function readyBar(
  context: CanvasRenderingContext2D,
  { left, top, width, height }: Lane,
  thickness: number,
  share: number,
  palette: Palette,
): number {
  const length = width * Math.min(1, share);
  const above = top + (height - thickness) / 2;
  context.save();
  context.beginPath();
  context.roundRect(left, above, width, thickness, Math.min(26, thickness / 2));
  context.clip();
  context.fillStyle = palette.ready;
  context.fillRect(left + width - length, above, length, thickness);
  context.restore();
  return length;
}

/** Draws a consumer's ring, filled from below up to a level in pixels. */
function bowl(
  context: CanvasRenderingContext2D,
  { x, y }: Point,
  radius: number,
  level: number,
  palette: Palette,
): void {
  context.fillStyle = palette.surface;
  context.strokeStyle = palette.unacked;
  context.beginPath();
  context.arc(x, y, radius, 0, TURN);
  context.fill();
  context.stroke();
  const up = Math.acos(1 - level / (radius * BOWL));
  context.fillStyle = palette.unacked;
  context.beginPath();
  context.arc(x, y, radius * BOWL, TURN / 4 - up, TURN / 4 + up);
  context.fill();
}

/**
 * Draws messages of consumers: a disc, and around it a ring for the part of the service that is done. Returns their
 * number.
 */
export function hands(
  context: CanvasRenderingContext2D,
  inHand: ReadonlyMap<number, Hand>,
  layout: Layout,
  palette: Palette,
): number {
  let drawn = 0;
  const radius = layout.consumerRadius;
  context.strokeStyle = palette.unacked;
  context.fillStyle = palette.unacked;
  context.lineWidth = Math.max(2, radius * 0.16);
  for (const [place, { dot, elapsedMs, serviceMs }] of inHand) {
    const centre = layout.consumers[place];
    if (!centre) continue;
    drawn++;
    context.beginPath();
    context.arc(dot.x, dot.y, radius * 0.5, 0, TURN);
    context.fill();
    const done = serviceMs > 0 ? Math.min(1, elapsedMs / serviceMs) : 1;
    context.beginPath();
    context.arc(centre.x, centre.y, radius, -TURN / 4, -TURN / 4 + done * TURN);
    context.stroke();
  }
  return drawn;
}

/** Draws acked messages on their way out, as outlines because they are no longer counted. */
export function leaving(context: CanvasRenderingContext2D, gone: Dot[], radius: number, palette: Palette): void {
  context.strokeStyle = palette.muted;
  context.lineWidth = 1;
  for (const { x, y, presence } of gone) {
    context.globalAlpha = Math.max(0, presence) * 0.7;
    context.beginPath();
    context.arc(x + (1 - presence) * 26, y, radius, 0, TURN);
    context.stroke();
  }
  context.globalAlpha = 1;
}

function way(context: CanvasRenderingContext2D, from: Point, to: Point): void {
  const bend = (to.x - from.x) / 2;
  context.moveTo(from.x, from.y);
  context.bezierCurveTo(from.x + bend, from.y, to.x - bend, to.y, to.x, to.y);
}
