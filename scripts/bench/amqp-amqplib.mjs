// amqplib as a load driver, for the speed that a program with an ordinary client sees.

import amqp from "amqplib";

/** Messages published in one go; each has its own confirm callback. */
const BATCH = 50;

export class AmqplibConnection {
  confirmed = 0;
  received = 0;
  batch = BATCH;
  onProgress = () => {};
  onFailure = (_error) => {};

  static async open(url, queue, body) {
    const connection = await amqp.connect(url, { noDelay: true });
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue(queue, { durable: false });
    return new AmqplibConnection(connection, channel, queue, body);
  }

  constructor(connection, channel, queue, body) {
    Object.assign(this, { connection, channel, queue, body });
    connection.on("error", (error) => this.onFailure(error));
    channel.on("error", (error) => this.onFailure(error));
  }

  publishBatch() {
    for (let i = 0; i < BATCH; i++) this.channel.sendToQueue(this.queue, this.body, {}, this.#confirm);
  }

  async consume(prefetch) {
    await this.channel.prefetch(prefetch);
    await this.channel.consume(this.queue, (message) => {
      this.channel.ack(message);
      this.received += 1;
      this.onProgress();
    });
  }

  purge() {
    return this.channel.purgeQueue(this.queue);
  }

  async close({ deleteQueue = false } = {}) {
    if (deleteQueue) await this.channel.deleteQueue(this.queue);
    await this.connection.close();
  }

  #confirm = (error) => {
    if (error) return this.onFailure(error);
    this.confirmed += 1;
    this.onProgress();
  };
}
