// Call: one request to the HTTP API, by a user who has logged in.
import type { Kind, Report } from "../../core/abi.js";
import type { Broker } from "../../embedded/broker.js";
import type { Permission, User } from "../access/access.js";
import type { Fields } from "../definitions/fields.js";
import type { Connections } from "../net/connections.js";
import type { TlsOptions } from "../net/tls.js";
import type { Operations } from "../operations.js";
import { notAuthorised, notFound } from "../refusals.js";
import { listed } from "./lists.js";
import type { Rates } from "./rates.js";

/** The parts of the broker that the API reports on. */
export interface Site {
  operations: Operations;
  connections: Connections;
  /** The open ports, by protocol. */
  listeners: () => { protocol: string; port: number }[];
  rates: Rates;
  /** The certificate and key for AMQP over TLS, if configured. */
  tls: TlsOptions | undefined;
}

/** A request, with the parts that a route's handler needs. */
export interface Request {
  site: Site;
  user: User;
  params: Readonly<Record<string, string>>;
  query: URLSearchParams;
  body: Fields;
  headers: NodeJS.Dict<string | string[]>;
}

/** The tags of users, each with the tags that it includes. */
const INCLUDED: Record<string, readonly string[]> = {
  administrator: ["monitoring", "policymaker", "management"],
  monitoring: ["management"],
  policymaker: ["management"],
  management: [],
};

/** Whether a user has this tag, or one that includes it. */
export function hasTag(user: User, tag: string): boolean {
  return user.tags.some((own) => own === tag || (Object.hasOwn(INCLUDED, own) && INCLUDED[own]?.includes(tag)));
}

/** One request, with helpers for its handler. */
export class Call {
  readonly site: Site;
  readonly user: User;
  readonly query: URLSearchParams;
  readonly body: Fields;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly #params: Readonly<Record<string, string>>;

  constructor(request: Request) {
    ({ site: this.site, user: this.user, query: this.query, body: this.body, headers: this.headers } = request);
    this.#params = request.params;
  }

  get operations(): Operations {
    return this.site.operations;
  }

  /** Returns a parameter that only some of a handler's paths have. */
  parameter(name: string): string | undefined {
    return this.#params[name];
  }

  /** Returns a parameter of the path. */
  param(name: string): string {
    return this.#params[name] as string;
  }

  /** The virtual host in the path, checked for access; undefined if the path has none. */
  get virtualHost(): string | undefined {
    const name = this.#params.vhost;
    if (name === undefined) return undefined;
    if (!this.operations.access.virtualHosts.has(name)) throw notFound();
    if (this.mayEnter(name)) return name;
    throw notAuthorised("User not authorised to access virtual host");
  }

  /** The virtual host of a path that has one. */
  get within(): string {
    return this.virtualHost as string;
  }

  /** The verbs of the path's virtual host. */
  get broker(): Broker {
    return this.operations.broker(this.within);
  }

  mayEnter(virtualHost: unknown): boolean {
    return this.operations.access.mayEnter(this.user.name, virtualHost as string);
  }

  /** Throws unless the user has this permission on a queue or exchange of the path's virtual host. */
  permit(permission: Permission, what: "queue" | "exchange", name: string): void {
    const known = name === "" ? "amq.default" : name;
    if (this.operations.access.permits(this.user.name, this.within, permission, known)) return;
    const reason = `access to ${what} '${known}' in vhost '${this.within}' refused for user '${this.user.name}'`;
    throw notAuthorised(reason);
  }

  /**
   * Throws unless the user may publish to an exchange of the path's virtual host, or bind to it, by this routing key.
   */
  permitTopic(permission: "write" | "read", exchange: string, routingKey: string): void {
    const { restrictions } = this.operations.access;
    if (restrictions.permitsTopic(this.user.name, this.within, permission, exchange, routingKey)) return;
    if (this.operations.find("exchanges", this.within, exchange)?.type !== "topic") return;
    const where = `exchange topic '${exchange}' in vhost '${this.within}'`;
    throw notAuthorised(`access to topic '${routingKey}' in ${where} refused for user '${this.user.name}'`);
  }

  /** Returns the reports of a kind in the path's virtual host, or in all that the user may enter. */
  reports(kind: Kind): Report[] {
    const { virtualHost } = this;
    const all = this.operations.list(kind, virtualHost);
    return virtualHost === undefined ? all.filter(({ vhost }) => this.mayEnter(vhost)) : all;
  }

  /** Like `reports`, for connections: users see their own, and with the tag monitoring all. */
  clientReports(kind: "connections" | "channels" | "consumers", userOf: (report: Report) => unknown): Report[] {
    const all = this.operations.list(kind, this.virtualHost);
    return hasTag(this.user, "monitoring") ? all : all.filter((report) => userOf(report) === this.user.name);
  }

  /** Returns a report with the rates of its counters; `of` is a unique name of its object. */
  rated(of: string, report: Report): Report {
    const now = this.operations.engine.clock.now();
    const counts = report.message_stats as Record<string, number>;
    return Object.assign(report, { message_stats: this.site.rates.withRates(of, counts, now) });
  }

  /** Returns a list, sorted and filtered by the query. */
  listed(items: Report[]): unknown {
    return listed(items, this.query);
  }

  /** Returns a list, sorted, filtered and paged by the query. */
  paged(items: Report[]): unknown {
    return listed(items, this.query, true);
  }
}
