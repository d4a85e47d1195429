// Call: one request to the HTTP API, by a user who has logged in.
import type { Kind, Report } from "../../core/abi.js";
import type { Broker } from "../../embedded/broker.js";
import type { Permission, User } from "../access/access.js";
import type { Fields } from "../definitions/fields.js";
import type { Connections } from "../net/connections.js";
import type { TlsOptions } from "../net/tls.js";
import type { Operations } from "../operations.js";
import { notAuthorised, notFound } from "./answers.js";
import { listed } from "./lists.js";
import type { Rates } from "./rates.js";

/** The broker and its surroundings, as the API reports them. */
export interface Site {
  operations: Operations;
  connections: Connections;
  /** The ports that are listened on, by protocol. */
  listeners: () => { protocol: string; port: number }[];
  rates: Rates;
  /** The certificate and key for AMQP over TLS, if there are any. */
  tls: TlsOptions | undefined;
}

/** What a route's handler is given. */
export interface Request {
  site: Site;
  user: User;
  params: Readonly<Record<string, string>>;
  query: URLSearchParams;
  body: Fields;
  headers: NodeJS.Dict<string | string[]>;
}

/** The tags of users, each with those whose rights it includes. */
const INCLUDED: Record<string, readonly string[]> = {
  administrator: ["monitoring", "policymaker", "management"],
  monitoring: ["management"],
  policymaker: ["management"],
  management: [],
};

/** Whether a user's tags let it do what needs this one. */
export function hasTag(user: User, tag: string): boolean {
  return user.tags.some((own) => own === tag || (Object.hasOwn(INCLUDED, own) && INCLUDED[own]?.includes(tag)));
}

/** One request with what handlers commonly ask of it. */
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

  /** A part that only some of a handler's paths have. */
  parameter(name: string): string | undefined {
    return this.#params[name];
  }

  /** A part of the path. */
  param(name: string): string {
    return this.#params[name] as string;
  }

  /** The virtual host in the path, which the user may enter; undefined when there is none in it. */
  get virtualHost(): string | undefined {
    const name = this.#params.vhost;
    if (name === undefined) return undefined;
    if (!this.operations.access.virtualHosts.has(name)) throw notFound();
    if (this.mayEnter(name)) return name;
    throw notAuthorised("User not authorised to access virtual host");
  }

  /** The virtual host in a path that has one. */
  get within(): string {
    return this.virtualHost as string;
  }

  /** The verbs in the path's virtual host. */
  get broker(): Broker {
    return this.operations.broker(this.within);
  }

  mayEnter(virtualHost: unknown): boolean {
    return this.operations.access.mayEnter(this.user.name, virtualHost as string);
  }

  /** Throws unless the user may do this to a queue or exchange of the path's virtual host. */
  permit(permission: Permission, what: "queue" | "exchange", name: string): void {
    const known = name === "" ? "amq.default" : name;
    if (this.operations.access.permits(this.user.name, this.within, permission, known)) return;
    const reason = `access to ${what} '${known}' in vhost '${this.within}' refused for user '${this.user.name}'`;
    throw notAuthorised(reason);
  }

  /** Throws unless the user may publish to an exchange of the path's virtual host, or bind to it, by this routing key. */
  permitTopic(permission: "write" | "read", exchange: string, routingKey: string): void {
    const { restrictions } = this.operations.access;
    if (restrictions.permitsTopic(this.user.name, this.within, permission, exchange, routingKey)) return;
    if (this.operations.find("exchanges", this.within, exchange)?.type !== "topic") return;
    const where = `exchange topic '${exchange}' in vhost '${this.within}'`;
    throw notAuthorised(`access to topic '${routingKey}' in ${where} refused for user '${this.user.name}'`);
  }

  /** What there is of a kind in the virtual hosts that the user may enter, or in the one in the path. */
  reports(kind: Kind): Report[] {
    const { virtualHost } = this;
    const all = this.operations.list(kind, virtualHost);
    return virtualHost === undefined ? all.filter(({ vhost }) => this.mayEnter(vhost)) : all;
  }

  /** As `reports`, of connections: a user sees its own, and one who monitors sees all. */
  clientReports(kind: "connections" | "channels" | "consumers", userOf: (report: Report) => unknown): Report[] {
    const all = this.operations.list(kind, this.virtualHost);
    return hasTag(this.user, "monitoring") ? all : all.filter((report) => userOf(report) === this.user.name);
  }

  /** A report with the rates of what it counts; `of` is what it is about, as no other is called. */
  rated(of: string, report: Report): Report {
    const now = this.operations.engine.clock.now();
    const counts = report.message_stats as Record<string, number>;
    return Object.assign(report, { message_stats: this.site.rates.told(of, counts, now) });
  }

  /** A list as the query wants it. */
  listed(items: Report[]): unknown {
    return listed(items, this.query);
  }

  /** A list as the query wants it, in pages if it asks for one. */
  paged(items: Report[]): unknown {
    return listed(items, this.query, true);
  }
}
