// The outbox: posts stay in durable queues of the browser until the server has accepted them. A failed try is a nack,
// and each queue's dead letters go to the next: so they wait longer from try to try, and end in outbox.dead.
//
//   outbox.try-1 ─nack─> outbox.wait-1 ─0.5 s─> outbox.try-2 ─nack─> outbox.wait-2 ─1 s─> ... outbox.try-4 ─nack─> outbox.dead
import { connect } from "pocketmq/browser";

const TRIES = 4;
const BACK_OFF_MS = 500;
const PERSISTENT = 2;

/** Opens the outbox that all tabs of this origin share. */
export async function openOutbox() {
  const connection = await connect();
  const channel = await connection.channel();
  await declare(channel);
  await channel.prefetch(1);

  /** Adds a post to the outbox; it is stored safely when the promise is fulfilled. */
  const add = (text, id = crypto.randomUUID()) => {
    const properties = { messageId: id, deliveryMode: PERSISTENT };
    return channel.basicPublish("", "outbox.try-1", text, properties);
  };

  /** Calls `post` for each post, those that are there and those to come; an exception is a failed try. */
  const drain = async (post) => {
    const attempt = async (message) => {
      try {
        await post(message.bodyString(), message.properties.messageId);
      } catch {
        return message.nack();
      }
      return message.ack();
    };
    for (const queue of numbered("outbox.try")) await channel.basicConsume(queue, { noAck: false }, attempt);
  };

  /**
   * Passes each dead letter to `show`, with a function that puts it into the outbox again. It stays dead until then.
   */
  const watchDead = async (show) => {
    const dead = await connection.channel();
    await dead.basicConsume("outbox.dead", { noAck: false }, (message) => {
      const revive = async () => {
        await add(message.bodyString(), message.properties.messageId);
        await message.ack();
      };
      show(message.bodyString(), refusals(message), revive);
    });
  };

  /** Returns how many posts wait for their first try, how many for another, and how many are dead. */
  const counts = async () => {
    const { queues } = await connection.stats();
    const there = (...names) =>
      queues.filter(({ name }) => names.includes(name)).reduce((sum, { ready, unacked }) => sum + ready + unacked, 0);
    const [first, ...others] = numbered("outbox.try");
    return {
      waiting: there(first),
      retrying: there(...others, ...numbered("outbox.wait")),
      dead: there("outbox.dead"),
    };
  };

  return { add, drain, watchDead, counts };
}

const numbered = (prefix) => Array.from({ length: TRIES }, (_, index) => `${prefix}-${index + 1}`);

async function declare(channel) {
  const queue = (name, args) => channel.queueDeclare(name, { durable: true }, args);
  const deadTo = (name) => ({ "x-dead-letter-exchange": "", "x-dead-letter-routing-key": name });
  await queue("outbox.dead");
  for (let number = 1; number < TRIES; number++) {
    const backOff = { "x-message-ttl": BACK_OFF_MS * 2 ** (number - 1) };
    await queue(`outbox.try-${number}`, deadTo(`outbox.wait-${number}`));
    await queue(`outbox.wait-${number}`, { ...backOff, ...deadTo(`outbox.try-${number + 1}`) });
  }
  await queue(`outbox.try-${TRIES}`, deadTo("outbox.dead"));
}

/** Returns how often the server refused it, as the broker counts. */
function refusals({ properties: { headers } }) {
  const deaths = headers?.["x-death"] ?? [];
  return deaths.filter(({ reason }) => reason === "rejected").length;
}
