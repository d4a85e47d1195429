// Passwords: stored as in RabbitMQ, base64 of a salt of 4 bytes and the hash of salt and password, so that definitions
// move between the two.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

const DIGESTS = {
  rabbit_password_hashing_sha256: "sha256",
  rabbit_password_hashing_sha512: "sha512",
  rabbit_password_hashing_md5: "md5",
} as const;
const SALT_BYTES = 4;

/** A hashing algorithm by RabbitMQ's name. */
export type HashingAlgorithm = keyof typeof DIGESTS;

/** The algorithms' names. */
export const ALGORITHMS = Object.keys(DIGESTS);

/** The algorithm for new passwords. */
export const DEFAULT_ALGORITHM: HashingAlgorithm = "rabbit_password_hashing_sha256";

/** A hashed password. */
export interface HashedPassword {
  readonly hash: string;
  readonly algorithm: HashingAlgorithm;
}

/** Whether this is the name of a supported algorithm. */
export function isAlgorithm(name: unknown): name is HashingAlgorithm {
  return typeof name === "string" && Object.hasOwn(DIGESTS, name);
}

/** Hashes a password with a new salt. */
export function hashPassword(password: string, algorithm = DEFAULT_ALGORITHM): HashedPassword {
  const salt = randomBytes(SALT_BYTES);
  return { hash: Buffer.concat([salt, digest(salt, password, algorithm)]).toString("base64"), algorithm };
}

/** Whether a hash has the form of this algorithm's; the empty one matches no password. */
export function isHash({ hash, algorithm }: HashedPassword): boolean {
  if (hash === "") return true;
  const bytes = Buffer.from(hash, "base64");
  return bytes.length === SALT_BYTES + digest(bytes, "", algorithm).length && bytes.toString("base64") === hash;
}

/** Whether this is the password. An empty one never is. */
export function isPassword(given: string, { hash, algorithm }: HashedPassword): boolean {
  const bytes = Buffer.from(hash, "base64");
  const [salt, expected] = [bytes.subarray(0, SALT_BYTES), bytes.subarray(SALT_BYTES)];
  const actual = digest(salt, given, algorithm);
  return given !== "" && expected.length === actual.length && timingSafeEqual(expected, actual);
}

function digest(salt: Uint8Array, password: string, algorithm: HashingAlgorithm): Buffer {
  return createHash(DIGESTS[algorithm]).update(salt).update(password, "utf8").digest();
}
