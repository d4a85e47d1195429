// Paint: the strokes of the picture. Nothing here remembers anything.
import type { Palette } from "../palette.ts";
import type { Dot, Hand } from "./dots.ts";
import type { Lane, Layout, Point } from "./layout.ts";

const TURN = 2 * Math.PI;
const PRODUCER_SIZE = 22;

/** What does not move: the ways to the lane and from it, and the consumers' rings. */
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

/** The lane in which messages wait, as thick as it has to be. */
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

/** Messages that are ready, one dot each. */
export function dots(context: CanvasRenderingContext2D, all: Iterable<Dot>, radius: number, colour: string): void {
  context.fillStyle = colour;
  context.beginPath();
  for (const { x, y } of all) {
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, TURN);
  }
  context.fill();
}

/** Too many messages for dots: squares, from the head on. */
export function density(
  context: CanvasRenderingContext2D,
  lane: Lane,
  squares: number,
  pitch: number,
  colour: string,
): void {
  const rows = Math.max(1, Math.floor(lane.height / pitch));
  const top = lane.top + (lane.height - rows * pitch) / 2;
  context.fillStyle = colour;
  context.beginPath();
  for (let n = 0; n < squares; n++) {
    const x = lane.left + lane.width - pitch * (Math.floor(n / rows) + 1);
    context.rect(x + 1, top + (n % rows) * pitch + 1, pitch - 2, pitch - 2);
  }
  context.fill();
}

/** Messages that consumers hold: a disc, and around it the ring of how much of the service is done. */
export function hands(
  context: CanvasRenderingContext2D,
  inHand: ReadonlyMap<number, Hand>,
  layout: Layout,
  palette: Palette,
): void {
  const radius = layout.consumerRadius;
  context.strokeStyle = palette.unacked;
  context.fillStyle = palette.unacked;
  context.lineWidth = Math.max(2, radius * 0.16);
  for (const [place, { dot, elapsedMs, serviceMs }] of inHand) {
    const centre = layout.consumers[place];
    if (!centre) continue;
    context.beginPath();
    context.arc(dot.x, dot.y, radius * 0.5, 0, TURN);
    context.fill();
    const done = serviceMs > 0 ? Math.min(1, elapsedMs / serviceMs) : 1;
    context.beginPath();
    context.arc(centre.x, centre.y, radius, -TURN / 4, -TURN / 4 + done * TURN);
    context.stroke();
  }
}

/** Acked messages, on their way out. */
export function leaving(context: CanvasRenderingContext2D, gone: Dot[], radius: number, palette: Palette): void {
  context.fillStyle = palette.unacked;
  for (const { x, y, presence } of gone) {
    context.globalAlpha = Math.max(0, presence) * 0.7;
    context.beginPath();
    context.arc(x + (1 - presence) * 26, y, radius, 0, TURN);
    context.fill();
  }
  context.globalAlpha = 1;
}

function way(context: CanvasRenderingContext2D, from: Point, to: Point): void {
  const bend = (to.x - from.x) / 2;
  context.moveTo(from.x, from.y);
  context.bezierCurveTo(from.x + bend, from.y, to.x - bend, to.y, to.x, to.y);
}
