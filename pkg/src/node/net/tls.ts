// TLS: its options, checked before any client connects, and the servers.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createServer, type PeerCertificate, type Server, type TLSSocket } from "node:tls";
import type { Connections } from "./connections.js";

/** A certificate with its key, and the authorities of client certificates. */
export interface TlsOptions {
  /** The certificate, and those that lead to its authority, in PEM form. */
  cert: string | Uint8Array;
  /** Its private key, in PEM form. */
  key: string | Uint8Array;
  /** The authorities of client certificates, in PEM form. Without any, no certificate is requested. */
  ca?: string | Uint8Array | undefined;
  /** Whether to refuse clients without a certificate. */
  requireClientCertificate?: boolean | undefined;
  /**
   * The part of a client's certificate that names its user, for the mechanism EXTERNAL: `common_name` (default), or
   * `distinguished_name`, the whole subject as RFC 4514 writes it, such as `CN=alice,O=Example`.
   */
  loginFrom?: (typeof LOGIN_FROM)[number] | undefined;
}

/** The parts of a certificate that may name a user. */
export const LOGIN_FROM = ["common_name", "distinguished_name"] as const;

const BUFFER_BYTES = 1 << 20;
const HANDSHAKE_MS = 10_000;

function checkTls({ cert, key, ca, requireClientCertificate, loginFrom }: TlsOptions): void {
  const certificate = certificateOf(cert, "tls.cert");
  const privateKey = attempted(() => createPrivateKey(pem(key)));
  if (!privateKey)
    throw new TypeError("There is no private key in PEM form, without a passphrase, in the option tls.key.");
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new TypeError("The private key in the option tls.key is not that of the certificate in the option tls.cert.");
  }
  if (ca !== undefined) certificateOf(ca, "tls.ca");
  if (requireClientCertificate && ca === undefined) {
    throw new TypeError(
      "Client certificates are required by the option tls.requireClientCertificate, but the option tls.ca names nobody who issues them.",
    );
  }
  if (loginFrom !== undefined && !LOGIN_FROM.includes(loginFrom)) {
    throw new TypeError(`The option tls.loginFrom must be one of ${LOGIN_FROM.join(", ")}.`);
  }
}

/** Returns a function that makes identical servers for AMQP over TLS. */
export function amqpsServers(options: TlsOptions, connections: Connections): () => Server {
  checkTls(options);
  const { cert, key, ca, requireClientCertificate = false, loginFrom } = options;
  const context = { cert: pem(cert), key: pem(key), ...(ca !== undefined && { ca: pem(ca) }) };
  const asking = { requestCert: ca !== undefined, rejectUnauthorized: requireClientCertificate };
  const socket = { noDelay: true, highWaterMark: BUFFER_BYTES, handshakeTimeout: HANDSHAKE_MS };
  return () => {
    const server = createServer({ ...context, ...asking, ...socket });
    // Node does not close a socket by itself whose handshake fails or times out.
    server.on("tlsClientError", (_error, socket) => socket.destroy());
    return server.on("secureConnection", (socket) => {
      connections.attempt(socket, () => {
        // An empty object when there is no certificate.
        const { subject }: Partial<PeerCertificate> = ca === undefined ? {} : socket.getPeerCertificate();
        if (subject && !socket.authorized) return void socket.destroy();
        const byName = loginFrom === "distinguished_name";
        const certificateName = byName ? distinguishedName(socket) : commonName(subject?.CN);
        connections.accept(socket, { socket, tls: true, certificateName: subject && certificateName });
      });
    });
  };
}

// A subject may have several of them; the last one is the most specific.
function commonName(names: string | string[] | undefined): string | undefined {
  return Array.isArray(names) ? names.at(-1) : names;
}

// Node returns one part per line, in the certificate's order; RFC 4514 begins with the last one.
function distinguishedName(socket: TLSSocket): string | undefined {
  return socket.getPeerX509Certificate()?.subject.split("\n").reverse().join(",");
}

function certificateOf(value: string | Uint8Array, option: string): X509Certificate {
  const certificate = attempted(() => new X509Certificate(pem(value)));
  if (!certificate) throw new TypeError(`There is no certificate in PEM form in the option ${option}.`);
  const now = Date.now();
  if (now > Date.parse(certificate.validTo)) {
    throw new TypeError(`The certificate in the option ${option} expired on ${certificate.validTo}; renew it.`);
  }
  if (now < Date.parse(certificate.validFrom)) {
    throw new TypeError(`The certificate in the option ${option} is valid only from ${certificate.validFrom} on.`);
  }
  return certificate;
}

function pem(value: string | Uint8Array): string | Buffer {
  return typeof value === "string" ? value : Buffer.from(value);
}

function attempted<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}
