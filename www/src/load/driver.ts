// Driver: producers and consumers on one AMQP connection, scheduled by absolute times.
//
// One timer is set for the earliest event: an arrival, or the end of a service. When it fires, which may be late,
// everything that is due by then is done.
import type { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";
import type { AMQPMessage } from "@cloudamqp/amqp-client/amqp-message";
import { Arrivals } from "./arrivals.ts";
import { RunningClock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { Consumer, type InHand } from "./consumer.ts";
import { type Body, type Events, type Load, ownBody, PRODUCERS, QUEUE } from "./messages.ts";
import { RandomStream } from "./random.ts";
import { Service } from "./service.ts";

/** Events are reported at most this often. */
const REPORT_EVERY_MS = 33;

/** The delivery mode of persistent messages. */
const PERSISTENT = 2;

/** A timer this late means that the browser froze the worker: that time is not counted. */
const FROZEN_MS = 1000;

export interface DriverCallbacks {
  onEvents(events: Events): void;
  onFirstDelivery(): void;
  onError(error: Error): void;
}

export class Driver {
  readonly #connection: Connection;
  readonly #callbacks: DriverCallbacks;
  readonly #clock = new RunningClock();
  readonly #run = crypto.randomUUID();
  readonly #arrivals: Arrivals;
  readonly #workStream: RandomStream;
  readonly #outsideStream: RandomStream;
  readonly #routeStream: RandomStream;
  #load: Load;
  #producers: AMQPChannel[] = [];
  #consumers: Consumer[] = [];
  /** Consumers that were removed while working on a message. */
  #leaving = new Set<Consumer>();
  #nextId = 1;
  #nextOutsideId = -1;
  #wakeTimer: ReturnType<typeof setTimeout> | undefined;
  #reportTimer: ReturnType<typeof setTimeout> | undefined;
  #delivered = false;
  #stopped = false;
  #epoch = 0;
  #epochStart = 0;
  /** Time and amount up to which busy time has been reported. */
  #busySince = 0;
  #busyReported = 0;
  #busyOfGone = 0;
  #events: Events;

  constructor(connection: Connection, load: Load, seed: number, epoch: number, callbacks: DriverCallbacks) {
    this.#epoch = epoch;
    this.#connection = connection;
    this.#callbacks = callbacks;
    this.#load = load;
    this.#workStream = new RandomStream(seed, "service");
    this.#outsideStream = new RandomStream(seed, "outside");
    this.#routeStream = new RandomStream(seed, "routing");
    this.#arrivals = new Arrivals(new RandomStream(seed, "arrivals"), load.lambda, 0);
    this.#events = this.#noEvents();
  }

  /** Declares the queue, opens the channels and starts the load. */
  async start(paused: boolean): Promise<void> {
    this.#clock.pause();
    const control = await this.#connection.channel();
    await control.queueDeclare(QUEUE, { durable: true });
    this.#setConsumers(this.#load.consumers);
    this.#producers = await Promise.all(Array.from({ length: PRODUCERS }, () => this.#openProducer()));
    if (!paused) this.resume();
    this.#reportSoon();
  }

  /** Changes the rates and the number of consumers at once, and starts new averages. */
  setLoad(load: Load, epoch: number): void {
    this.#report();
    const now = this.#clock.now();
    this.#load = load;
    this.#epoch = epoch;
    this.#epochStart = now;
    this.#arrivals.setRate(load.lambda, now);
    for (const consumer of this.#everyConsumer()) consumer.service.setRate(load.mu, now);
    this.#setConsumers(load.consumers);
    this.#report();
    this.#wakeWhenDue();
  }

  pause(): void {
    this.#clock.pause();
    clearTimeout(this.#wakeTimer);
    this.#report();
  }

  resume(): void {
    this.#clock.resume();
    this.#wakeWhenDue();
  }

  /** Purges the queue's ready messages. */
  async purge(): Promise<void> {
    const channel = await this.#connection.channel();
    await channel.queuePurge(QUEUE);
    await channel.close();
  }

  /** Stops for good and closes the connection; the broker requeues unacked messages. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#wakeTimer);
    clearTimeout(this.#reportTimer);
    if (!this.#connection.closed) await this.#connection.close();
  }

  async #openProducer(): Promise<AMQPChannel> {
    const channel = await this.#connection.channel();
    await channel.confirmSelect();
    return channel;
  }

  #setConsumers(count: number): void {
    for (const consumer of this.#consumers.splice(count)) {
      if (consumer.inHand) this.#leaving.add(consumer);
      else this.#busyOfGone += consumer.service.busyMs(this.#clock.now());
      this.#guard(consumer.leave());
    }
    while (this.#consumers.length < count) {
      const consumer = new Consumer(this.#consumers.length, new Service(this.#load.mu, this.#clock.now()));
      this.#consumers.push(consumer);
      this.#guard(consumer.join(this.#connection, (message) => this.#deliver(consumer, message)));
    }
  }

  #everyConsumer(): Consumer[] {
    return [...this.#consumers, ...this.#leaving];
  }

  #wakeWhenDue(): void {
    if (this.#stopped || !this.#clock.running) return;
    clearTimeout(this.#wakeTimer);
    const ends = this.#everyConsumer().map((consumer) => consumer.service.endsAt);
    const dueAt = Math.min(this.#arrivals.nextAt, ...ends);
    if (dueAt === Infinity) return;
    this.#wakeTimer = setTimeout(() => this.#wake(dueAt), Math.max(0, dueAt - this.#clock.now()));
  }

  #wake(dueAt: number): void {
    const late = this.#clock.now() - dueAt;
    if (late > FROZEN_MS) {
      this.#clock.takeBack(late);
      this.#events.frozenMs += late;
    }
    const now = this.#clock.now();
    for (let due = this.#arrivals.take(now); due !== undefined; due = this.#arrivals.take(now)) this.#publish(due);
    for (const consumer of this.#everyConsumer()) if (consumer.service.endsAt <= now) this.#ack(consumer);
    this.#wakeWhenDue();
  }

  #publish(dueAt: number): void {
    const producer = this.#routeStream.below(PRODUCERS);
    const body: Body = {
      run: this.#run,
      id: this.#nextId++,
      work: this.#workStream.exponential(),
      dueAt,
      sentAt: this.#clock.now(),
    };
    this.#events.published.push({ id: body.id, producer });
    const confirmed = this.#producers[producer]?.basicPublish("", QUEUE, JSON.stringify(body), {
      appId: "pocketmq-page",
      deliveryMode: PERSISTENT,
    });
    if (confirmed) this.#guard(confirmed);
    this.#reportSoon();
  }

  #deliver(consumer: Consumer, message: AMQPMessage): void {
    if (this.#stopped) return;
    if (!this.#delivered) this.#callbacks.onFirstDelivery();
    this.#delivered = true;
    const deliveredAt = this.#clock.now();
    // A redelivered message has not waited for this consumer since it was published.
    const body = message.redelivered ? undefined : ownBody(message.body, this.#run);
    const id = body?.id ?? this.#nextOutsideId--;
    const work = body?.work ?? this.#outsideStream.exponential();
    consumer.inHand = { message, id, work, body, deliveredAt };
    consumer.service.begin({ work, dueAt: body?.dueAt, sentAt: body?.sentAt }, deliveredAt);
    const serviceMs = Math.max(0, consumer.service.endsAt - deliveredAt);
    this.#events.delivered.push({ id, consumer: consumer.place, serviceMs });
    if (this.#clock.running && consumer.service.endsAt <= deliveredAt) this.#ack(consumer);
    this.#wakeWhenDue();
    this.#reportSoon();
  }

  #ack(consumer: Consumer): void {
    const { inHand } = consumer;
    if (!inHand) return;
    const now = this.#clock.now();
    const busyMs = consumer.service.end(now);
    const times = this.#times(inHand, now);
    // The service of a message delivered before the averages began was partly at another rate.
    const counts = inHand.deliveredAt >= this.#epochStart;
    this.#events.acked.push({
      id: inHand.id,
      consumer: consumer.place,
      work: counts ? inHand.work : 0,
      busyMs: counts ? busyMs : 0,
      ...(times && { times }),
    });
    if (this.#leaving.delete(consumer)) this.#busyOfGone += consumer.service.busyMs(now);
    this.#guard(consumer.ack());
    this.#reportSoon();
  }

  #times({ body, deliveredAt }: InHand, now: number): { waitMs: number; sojournMs: number } | undefined {
    if (!body || body.sentAt < this.#epochStart) return undefined;
    return { waitMs: deliveredAt - body.sentAt, sojournMs: now - body.sentAt };
  }

  #reportSoon(): void {
    if (this.#stopped) return;
    this.#reportTimer ??= setTimeout(() => this.#report(), REPORT_EVERY_MS);
  }

  #report(): void {
    clearTimeout(this.#reportTimer);
    this.#reportTimer = undefined;
    const now = this.#clock.now();
    this.#events.runningMs = now - this.#epochStart;
    this.#reportBusy(now);
    this.#callbacks.onEvents(this.#events);
    this.#events = this.#noEvents();
  }

  #reportBusy(now: number): void {
    const present = this.#everyConsumer();
    const busy = present.reduce((sum, { service }) => sum + service.busyMs(now), this.#busyOfGone);
    this.#events.busyMs = busy - this.#busyReported;
    this.#events.presentMs = (now - this.#busySince) * present.length;
    this.#busyReported = busy;
    this.#busySince = now;
  }

  #noEvents(): Events {
    return {
      epoch: this.#epoch,
      runningMs: 0,
      frozenMs: 0,
      busyMs: 0,
      presentMs: 0,
      published: [],
      delivered: [],
      acked: [],
    };
  }

  /** Handles the result of a call that nothing waits for: a failure ends the run, unless it has ended already. */
  #guard(call: Promise<unknown>): void {
    call.catch((error) => {
      if (!this.#stopped) this.#callbacks.onError(error);
    });
  }
}
