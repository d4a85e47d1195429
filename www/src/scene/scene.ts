// Scene: producers, queue and consumers on one canvas, with moving messages, in one animation loop.
//
// The loop runs only while something moves and is visible; the load does not depend on it.
import { type Events, PRODUCERS } from "../load/messages.ts";
import type { Palette } from "../palette.ts";
import type { Sample } from "../statistics.ts";
import { type Dot, Dots } from "./dots.ts";
import {
  elsewhereMax,
  elsewhereSlot,
  fullFor,
  type Grid,
  gridFor,
  type Layout,
  layOut,
  type Point,
  readyMax,
  slot,
} from "./layout.ts";
import { Pace } from "./pace.ts";
import * as paint from "./paint.ts";

/** Time in which a dot covers two thirds of the way to its place. */
const APPROACH_MS = 90;
/** Time that an acked message takes to fade, and a producer's flash to pass. */
const FADE_MS = 260;
/** A dot this near to its place, in pixels, counts as arrived. */
const ARRIVED = 6;
/** Speed of a flow's dashes. */
const FLOW_PX_S = 60;
/** The lane is a tube that swells with the queue: its thickness beyond the rows, and its least one. */
const TUBE_WALLS = 26;
const TUBE_MIN = 52;

export class Scene {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #dots = new Dots();
  readonly #pace = new Pace();
  readonly #flashes = new Array<number>(PRODUCERS).fill(0);
  #palette: Palette;
  #layout: Layout;
  #width = 0;
  #height = 0;
  #consumers = 0;
  #sample: Sample | undefined;
  /** Whether bars and a flow are drawn, because discs would be too fast or too many. */
  #flows = false;
  #moves = false;
  /** The scales of full bars. */
  #full: paint.Bars = { ready: 0, unacked: 0 };
  #dashes = 0;
  #grid: Grid | undefined;
  #tube = TUBE_MIN;
  #running = true;
  #onScreen = true;
  #still: boolean;
  #frame = 0;
  #lastFrameAt = 0;

  constructor(canvas: HTMLCanvasElement, palette: Palette, still: boolean) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("This browser cannot draw on a canvas.");
    this.#canvas = canvas;
    this.#context = context;
    this.#palette = palette;
    this.#still = still;
    this.#layout = layOut(0, 0, PRODUCERS, 0);
    new ResizeObserver(() => this.#resize()).observe(canvas);
    new IntersectionObserver(([entry]) => this.#setOnScreen(entry?.isIntersecting ?? true)).observe(canvas);
    document.addEventListener("visibilitychange", () => this.#move());
  }

  /** The number of messages that a full bar shows; undefined while every message has its own disc. */
  get fullBar(): number | undefined {
    return this.#flows ? this.#full.ready : undefined;
  }

  setPalette(palette: Palette): void {
    this.#palette = palette;
    this.#move();
  }

  /** Without motion every message is drawn in its place, and only when the counts arrive. */
  setStill(still: boolean): void {
    this.#still = still;
    this.#move();
  }

  setConsumers(count: number): void {
    this.#consumers = count;
    this.#resize();
  }

  setRunning(running: boolean): void {
    this.#running = running;
    this.#move();
  }

  /** Takes the clients' events. */
  events(events: Events): void {
    for (const { producer } of events.published) this.#flashes[producer] = 1;
    this.#dots.events(events);
    if (!this.#still) this.#move();
  }

  /** Takes the broker's counts: the next frame shows them. */
  counted(sample: Sample): void {
    this.#moves = this.#pace.sample(sample);
    this.#sample = sample;
    this.#settle();
    this.#move();
  }

  /** Handles a purge, which is not a flow. The picture still shows the last counts. */
  purged(): void {
    this.#pace.reset();
  }

  clear(): void {
    this.#dots.clear();
    this.#pace.reset();
    this.#sample = undefined;
    this.#flows = false;
    this.#move();
  }

  /** Updates the discs by the counts, once the canvas has a size. */
  #settle(): void {
    const sample = this.#sample;
    if (!sample || this.#width === 0) return;
    const { ready, unacked } = sample;
    const { lane } = this.#layout;
    this.#full = {
      ready: fullFor(ready, this.#full.ready),
      unacked: fullUnacked(unacked, this.#consumers, this.#full.unacked),
    };
    this.#flows = this.#moves || ready > readyMax(lane) || unacked > this.#consumers + elsewhereMax(lane);
    const places = { producer: (place: number) => this.#producer(place), head: this.#head(), tail: this.#tail() };
    if (this.#flows) this.#dots.hide();
    else this.#dots.counted(ready, unacked, this.#consumers, places);
    // While the canvas is not visible, acked messages disappear at once.
    if (!this.#seen) this.#dots.leaving.length = 0;
  }

  #producer(place: number): Point {
    return this.#layout.producers[place] ?? this.#tail();
  }

  #head(): Point {
    const { left, top, width, height } = this.#layout.lane;
    return { x: left + width, y: top + height / 2 };
  }

  #tail(): Point {
    const { left, top, height } = this.#layout.lane;
    return { x: left, y: top + height / 2 };
  }

  get #seen(): boolean {
    return this.#onScreen && !document.hidden;
  }

  #setOnScreen(onScreen: boolean): void {
    this.#onScreen = onScreen;
    this.#move();
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const scale = window.devicePixelRatio || 1;
    this.#canvas.width = Math.round(clientWidth * scale);
    this.#canvas.height = Math.round(clientHeight * scale);
    this.#width = clientWidth;
    this.#height = clientHeight;
    this.#layout = layOut(clientWidth, clientHeight, PRODUCERS, this.#consumers);
    this.#grid = undefined;
    this.#settle();
    this.#draw(0);
    this.#move();
  }

  /** Makes sure that the next change is drawn: in the loop, or at once when motion is reduced. */
  #move(): void {
    if (!this.#seen) return;
    if (this.#still) {
      this.#draw(Number.POSITIVE_INFINITY);
      return;
    }
    if (this.#frame) return;
    this.#lastFrameAt = performance.now();
    this.#frame = requestAnimationFrame((now) => this.#loop(now));
  }

  #loop(now: number): void {
    this.#frame = 0;
    const passed = Math.min(100, Math.max(0, now - this.#lastFrameAt));
    this.#lastFrameAt = now;
    const moving = this.#draw(passed);
    if (moving && this.#seen && !this.#still) this.#frame = requestAnimationFrame((next) => this.#loop(next));
  }

  /** Advances everything by this many ms, draws it, and returns whether anything is still moving. */
  #draw(passedMs: number): boolean {
    const scale = window.devicePixelRatio || 1;
    const context = this.#context;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.#width, this.#height);
    const places = this.#rings();
    if (places !== this.#layout.consumers.length) this.#layout = layOut(this.#width, this.#height, PRODUCERS, places);
    const moved = [this.#advanceReady(passedMs), this.#advanceHands(passedMs), this.#advanceFlashes(passedMs)];
    moved.push(this.#advanceElsewhere(passedMs), this.#advanceLeaving(passedMs), this.#advanceTube(passedMs));
    const moving = [...moved, this.#advanceFlow(passedMs)].some(Boolean);
    paint.scenery(context, this.#layout, this.#palette, this.#consumers);
    paint.tube(context, this.#layout.lane, this.#tube, this.#palette);
    paint.producers(context, this.#layout.producers, this.#flashes, this.#palette);
    if (this.#flows) this.#paintFlow();
    else this.#paintDiscs();
    return moving;
  }

  /**
   * Number of consumers that are drawn, including removed ones that still have a message, and one for others in a flow.
   */
  #rings(): number {
    const elsewhere = this.#flows && (this.#sample?.unacked ?? 0) > 0 ? 1 : 0;
    return Math.max(this.#consumers, elsewhere, ...[...this.#dots.hands.keys()].map((place) => place + 1));
  }

  #dotRadius(): number {
    return Math.min(6, (this.#grid?.pitch ?? 15) * 0.36);
  }

  #paintDiscs(): void {
    const { ready, unacked } = this.#palette;
    const radius = this.#dotRadius();
    const waiting = paint.dots(this.#context, this.#dots.ready, radius, ready);
    const inHand = paint.hands(this.#context, this.#dots.hands, this.#layout, this.#palette);
    const elsewhere = paint.dots(this.#context, this.#dots.elsewhere, 3, unacked);
    paint.leaving(this.#context, this.#dots.leaving, radius, this.#palette);
    this.#say("discs", waiting, inHand + elsewhere);
  }

  /** The bars show the counts themselves: only the dashes and the lane's width are animated. */
  #paintFlow(): void {
    const { ready = 0, unacked = 0 } = this.#sample ?? {};
    paint.flow(this.#context, this.#layout, this.#dashes, this.#palette);
    const drawn = paint.bars(this.#context, this.#layout, this.#tube, { ready, unacked }, this.#full, this.#palette);
    this.#say("bars", drawn.ready, drawn.unacked);
  }

  /**
   * Writes the numbers of messages in the picture to the canvas' data attributes, where tests compare them with the
   * figures.
   */
  #say(picture: string, ready: number, unacked: number): void {
    Object.assign(this.#canvas.dataset, { picture, ready: String(ready), unacked: String(unacked) });
  }

  #advanceFlow(passedMs: number): boolean {
    const flows = this.#flows && this.#moves;
    if (flows && Number.isFinite(passedMs)) this.#dashes = (this.#dashes + (passedMs * FLOW_PX_S) / 1000) % 1000;
    return flows;
  }

  #advanceElsewhere(passedMs: number): boolean {
    let moving = false;
    for (const [n, dot] of this.#dots.elsewhere.entries()) {
      dot.target = elsewhereSlot(n, this.#layout.lane);
      moving = approach(dot, passedMs) || moving;
    }
    return moving;
  }

  #advanceReady(passedMs: number): boolean {
    const { ready } = this.#dots;
    this.#grid = gridFor(ready.length, this.#layout.lane, this.#grid);
    let moving = false;
    let place = 0;
    for (const dot of ready) {
      dot.target = slot(place++, this.#layout.lane, this.#grid);
      moving = approach(dot, passedMs) || moving;
    }
    return moving;
  }

  #advanceTube(passedMs: number): boolean {
    const { rows, pitch } = this.#grid ?? { rows: 1, pitch: 0 };
    const most = this.#layout.lane.height;
    const wanted = this.#flows ? TUBE_MIN : Math.max(TUBE_MIN, rows * pitch + TUBE_WALLS);
    const target = Math.min(most, wanted);
    this.#tube += (target - this.#tube) * (1 - Math.exp(-passedMs / APPROACH_MS));
    return Math.abs(target - this.#tube) > 0.3;
  }

  #advanceHands(passedMs: number): boolean {
    let moving = false;
    for (const [place, hand] of this.#dots.hands) {
      hand.dot.target = this.#layout.consumers[place] ?? this.#head();
      moving = approach(hand.dot, passedMs) || moving;
      if (!this.#running) continue;
      hand.elapsedMs += passedMs;
      moving = true;
    }
    return moving;
  }

  #advanceFlashes(passedMs: number): boolean {
    for (const [place, flash] of this.#flashes.entries()) {
      this.#flashes[place] = this.#still ? 0 : Math.max(0, flash - passedMs / FADE_MS);
    }
    return this.#flashes.some((flash) => flash > 0);
  }

  #advanceLeaving(passedMs: number): boolean {
    const { leaving } = this.#dots;
    // A message may be acked before its dot arrives: it fades only at its consumer.
    for (const dot of leaving) if (!approach(dot, passedMs, ARRIVED)) dot.presence -= passedMs / FADE_MS;
    const left = leaving.filter((dot) => dot.presence > 0);
    leaving.splice(0, leaving.length, ...left);
    return left.length > 0;
  }
}

/** Returns the scale of the unacked bar: one message for each consumer, or more where others have more. */
function fullUnacked(unacked: number, consumers: number, before: number): number {
  return unacked <= consumers ? Math.max(1, consumers) : fullFor(unacked, before);
}

/** Moves a dot towards its target, and returns whether it is still further off than this many pixels. */
function approach(dot: Dot, passedMs: number, near = 0.3): boolean {
  const share = 1 - Math.exp(-passedMs / APPROACH_MS);
  dot.x += (dot.target.x - dot.x) * share;
  dot.y += (dot.target.y - dot.y) * share;
  return Math.abs(dot.x - dot.target.x) + Math.abs(dot.y - dot.target.y) > near;
}
