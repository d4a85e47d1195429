// Import: what definitions describe is made. What exists already stays as it is, as RabbitMQ does it.
import type { Operations } from "../operations.js";
import type { BindingDeclaration, Declaration, Definitions, ExchangeDeclaration } from "./read.js";

/** Makes what is defined. */
export function importDefinitions(operations: Operations, definitions: Definitions): void {
  checkReferences(operations, definitions);
  for (const { name, ...described } of definitions.virtualHosts) operations.setVirtualHost(name, described);
  for (const user of definitions.users) operations.access.setUser(user);
  for (const { user, vhost, ...granted } of definitions.permissions) operations.access.permit(user, vhost, granted);
  for (const { name, vhost, policy } of definitions.policies) {
    making(`policy '${name}'`, () => operations.broker(vhost).setPolicy(name, policy));
  }
  for (const exchange of definitions.exchanges) importExchange(operations, exchange);
  for (const queue of definitions.queues) importQueue(operations, queue);
  for (const binding of definitions.bindings) importBinding(operations, binding);
}

function checkReferences({ access }: Operations, definitions: Definitions): void {
  const { permissions, policies, queues, exchanges, bindings } = definitions;
  const namesOf = (made: { name: string }[]) => made.map(({ name }) => name);
  const virtualHosts = new Set([...access.virtualHosts.keys(), ...namesOf(definitions.virtualHosts)]);
  for (const { vhost } of [...permissions, ...policies, ...queues, ...exchanges, ...bindings]) {
    if (virtualHosts.has(vhost)) continue;
    throw new TypeError(`The definitions name a virtual host '${vhost}', which is not there.`);
  }
  const users = new Set([...access.users.keys(), ...namesOf(definitions.users)]);
  for (const { user } of permissions) {
    if (users.has(user)) continue;
    throw new TypeError(`The definitions give permissions to a user '${user}', who is not there.`);
  }
}

function importExchange(operations: Operations, { name, vhost, type, ...options }: ExchangeDeclaration): void {
  if (operations.find("exchanges", vhost, name)) return;
  making(`exchange '${name}'`, () => operations.broker(vhost).declareExchange(name, type, options));
}

function importQueue(operations: Operations, { name, vhost, ...options }: Declaration): void {
  if (operations.find("queues", vhost, name)) return;
  making(`queue '${name}'`, () => operations.broker(vhost).declareQueue(name, options));
}

function importBinding(operations: Operations, binding: BindingDeclaration): void {
  const { vhost, source, destination, toExchange, routingKey, arguments: table } = binding;
  const broker = operations.broker(vhost);
  const verb = toExchange ? "bindExchange" : "bind";
  making(`binding of '${destination}' to '${source}'`, () => broker[verb](destination, source, routingKey, table));
}

function making(what: string, make: () => void): void {
  try {
    make();
  } catch (error) {
    const { name, message } = error as Error;
    throw Object.assign(new Error(`The ${what} of the definitions: ${message}`, { cause: error }), { name });
  }
}
