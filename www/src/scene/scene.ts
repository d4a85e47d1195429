// Scene: producers, queue and consumers on one canvas, with the messages moving, in one animation loop.
//
// The loop runs only while something moves, can be seen and may move; the load goes on without it.
import { type Events, PRODUCERS } from "../load/messages.ts";
import type { Palette } from "../palette.ts";
import { DOTS_MAX, type Dot, Dots } from "./dots.ts";
import { type Grid, gridFor, type Layout, layOut, messagesPerSquare, type Point, slot } from "./layout.ts";
import * as paint from "./paint.ts";

/** How quickly a dot closes in on its place: two thirds of the way in this time. */
const APPROACH_MS = 90;
/** How long an acked message takes to fade, and a producer's flash to pass. */
const FADE_MS = 260;
/** So near, in pixels, a dot has arrived as far as anybody can see. */
const ARRIVED = 6;
const SQUARE_PITCH = 12;
/** The lane is a tube that swells with the queue; this is how thick it is beyond its rows, and how thin at least. */
const TUBE_WALLS = 26;
const TUBE_MIN = 52;

export class Scene {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #dots = new Dots();
  readonly #flashes = new Array<number>(PRODUCERS).fill(0);
  #palette: Palette;
  #layout: Layout;
  #width = 0;
  #height = 0;
  #consumers = 0;
  #ready = 0;
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

  /** How many messages one square stands for; undefined while every message has its own dot. */
  get perSquare(): number | undefined {
    return this.#ready > DOTS_MAX ? messagesPerSquare(this.#ready, this.#squares()) : undefined;
  }

  setPalette(palette: Palette): void {
    this.#palette = palette;
    this.#move();
  }

  /** Without motion every message is drawn where it belongs, and only when the counts come in. */
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

  /** Takes what happened to the messages. */
  events({ published, delivered, acked }: Events): void {
    for (const message of published) {
      this.#dots.published(message, this.#producer(message.producer));
      this.#flashes[message.producer] = 1;
    }
    for (const message of delivered) this.#dots.delivered(message, this.#head());
    for (const message of acked) this.#dots.acked(message);
    if (!this.#still) this.#move();
  }

  /** Takes the broker's count of ready messages. */
  counted(ready: number): void {
    this.#ready = ready;
    this.#dots.counted(ready, this.#tail());
    this.#move();
  }

  clear(): void {
    this.#dots.clear();
    this.#ready = 0;
    this.#move();
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

  #squares(): number {
    const { width, height } = this.#layout.lane;
    return Math.floor(width / SQUARE_PITCH) * Math.floor(height / SQUARE_PITCH);
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
    this.#draw(0);
    this.#move();
  }

  /** Sees to it that the next change is drawn: in the loop, or at once when nothing may move. */
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

  /** Moves everything on by so many ms and draws it; answers whether anything is still moving. */
  #draw(passedMs: number): boolean {
    const scale = window.devicePixelRatio || 1;
    const context = this.#context;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.#width, this.#height);
    const places = Math.max(this.#consumers, ...[...this.#dots.hands.keys()].map((place) => place + 1));
    if (places > this.#layout.consumers.length) this.#layout = layOut(this.#width, this.#height, PRODUCERS, places);
    const moved = [this.#advanceReady(passedMs), this.#advanceHands(passedMs), this.#advanceFlashes(passedMs)];
    const moving = [...moved, this.#advanceLeaving(passedMs), this.#advanceTube(passedMs)].some(Boolean);
    paint.scenery(context, this.#layout, this.#palette, this.#consumers);
    paint.tube(context, this.#layout.lane, this.#tube, this.#palette);
    paint.producers(context, this.#layout.producers, this.#flashes, this.#palette);
    this.#paintReady();
    paint.hands(context, this.#dots.hands, this.#layout, this.#palette);
    paint.leaving(context, this.#dots.leaving, this.#dotRadius(), this.#palette);
    return moving;
  }

  #dotRadius(): number {
    return Math.min(6, (this.#grid?.pitch ?? 15) * 0.36);
  }

  #paintReady(): void {
    const perSquare = this.perSquare;
    if (perSquare === undefined) {
      paint.dots(this.#context, this.#dots.ready.values(), this.#dotRadius(), this.#palette.ready);
      return;
    }
    const squares = Math.ceil(this.#ready / perSquare);
    paint.density(this.#context, this.#layout.lane, squares, SQUARE_PITCH, this.#palette.ready);
  }

  #advanceReady(passedMs: number): boolean {
    const { ready } = this.#dots;
    this.#grid = gridFor(ready.size, this.#layout.lane, this.#grid);
    let moving = false;
    let place = 0;
    for (const dot of ready.values()) {
      dot.target = slot(place++, this.#layout.lane, this.#grid);
      moving = approach(dot, passedMs) || moving;
    }
    return moving;
  }

  #advanceTube(passedMs: number): boolean {
    const { rows, pitch } = this.#grid ?? { rows: 1, pitch: 0 };
    const most = this.#layout.lane.height;
    const wanted = this.perSquare === undefined ? Math.max(TUBE_MIN, rows * pitch + TUBE_WALLS) : most;
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
    // Its work may be done before it is seen to arrive: it fades only where its consumer is.
    for (const dot of leaving) if (!approach(dot, passedMs, ARRIVED)) dot.presence -= passedMs / FADE_MS;
    const left = leaving.filter((dot) => dot.presence > 0);
    leaving.splice(0, leaving.length, ...left);
    return left.length > 0;
  }
}

/** Moves a dot towards its target; answers whether it is still further off than this many pixels. */
function approach(dot: Dot, passedMs: number, near = 0.3): boolean {
  const share = 1 - Math.exp(-passedMs / APPROACH_MS);
  dot.x += (dot.target.x - dot.x) * share;
  dot.y += (dot.target.y - dot.y) * share;
  return Math.abs(dot.x - dot.target.x) + Math.abs(dot.y - dot.target.y) > near;
}
