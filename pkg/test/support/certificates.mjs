// Certificates: an authority and the certificates it signs, generated in the test; DER by hand, as far as X.509 needs
// it.
import { generateKeyPairSync, sign } from "node:crypto";

const DAY_MS = 86_400_000;
const ECDSA_WITH_SHA256 = "06082a8648ce3d040302";
const COMMON_NAME = "0603550403";
const BASIC_CONSTRAINTS = "0603551d13";
const SUBJECT_ALT_NAME = "0603551d11";

/** @typedef {{ name: string, cert: string, key: string, privateKey: import("node:crypto").KeyObject }} Certificate */

/**
 * Makes a certificate for a name, signed by an authority or, without one, by itself.
 * @param {string} name
 * @param {{ by?: Certificate, from?: number, until?: number }} [how]
 * @returns {Certificate}
 */
export function certificate(name, { by, from = Date.now() - DAY_MS, until = Date.now() + DAY_MS } = {}) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(hex(ECDSA_WITH_SHA256));
  const extensions = by
    ? extension(SUBJECT_ALT_NAME, sequence(der(0x87, Buffer.from([127, 0, 0, 1])), der(0x82, Buffer.from("localhost"))))
    : extension(BASIC_CONSTRAINTS, sequence(hex("0101ff")));
  const body = sequence(
    der(0xa0, hex("020102")),
    der(0x02, Buffer.from([1 + Math.floor(Math.random() * 126)])),
    algorithm,
    nameOf(by?.name ?? name),
    sequence(time(from), time(until)),
    nameOf(name),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(extensions)),
  );
  const signature = sign("sha256", body, by?.privateKey ?? privateKey);
  const bytes = sequence(body, algorithm, der(0x03, Buffer.concat([hex("00"), signature])));
  const lines = bytes
    .toString("base64")
    .match(/.{1,64}/g)
    ?.join("\n");
  const cert = `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
  return { name, cert, key: String(privateKey.export({ type: "pkcs8", format: "pem" })), privateKey };
}

/** @param {number} tag @param {Buffer} content */
function der(tag, content) {
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

/** @param {Buffer[]} parts */
function sequence(...parts) {
  return der(0x30, Buffer.concat(parts));
}

/** @param {string} digits */
function hex(digits) {
  return Buffer.from(digits, "hex");
}

/** @param {string} name */
function nameOf(name) {
  return sequence(der(0x31, sequence(hex(COMMON_NAME), der(0x0c, Buffer.from(name)))));
}

/** @param {number} ms */
function time(ms) {
  return der(0x17, Buffer.from(`${new Date(ms).toISOString().replace(/\D/g, "").slice(2, 14)}Z`));
}

/** @param {string} id @param {Buffer} value */
function extension(id, value) {
  return sequence(hex(id), der(0x04, value));
}
