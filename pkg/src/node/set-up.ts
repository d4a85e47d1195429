// Set-up: the virtual hosts, users and definitions that a broker starts with.
import { shortText } from "../arguments.js";
import { EVERYTHING, GUEST } from "./access.js";
import { importDefinitions } from "./definitions/import.js";
import { readDefinitions, readPermissions, readUser } from "./definitions/read.js";
import { fields } from "./fields.js";
import type { Operations } from "./operations.js";
import { checkReach, type ListenOptions, type UserOptions } from "./options.js";

/** Makes what the options name; guest, too, when they name no user. */
export function setUp(operations: Operations, options: ListenOptions): void {
  const { access } = operations;
  options.vhosts?.forEach((name, index) => {
    operations.setVirtualHost(shortText(name, `vhosts[${index}]`));
  });
  if (options.definitions) importDefinitions(operations, readDefinitions(options.definitions));
  options.users?.forEach((user, index) => {
    addUser(operations, user, index);
  });
  const others = [...access.users.keys()].filter((name) => name !== GUEST);
  checkReach(options.host, others.length > 0, options.remoteGuest);
  if (access.users.size === 0) access.addGuest();
}

function addUser({ access }: Operations, options: UserOptions, index: number): void {
  const item = fields(options, `users[${index}]`);
  const user = readUser(item);
  access.setUser(user);
  const everywhere = () => Object.fromEntries([...access.virtualHosts.keys()].map((name) => [name, EVERYTHING]));
  for (const [virtualHost, permissions] of Object.entries(options.permissions ?? everywhere())) {
    if (!access.virtualHosts.has(virtualHost)) {
      throw new TypeError(`users[${index}] has permissions in a virtual host '${virtualHost}', which is not there.`);
    }
    access.permit(user.name, virtualHost, grantedBy(permissions, user.name, virtualHost, index));
  }
}

function grantedBy(permissions: object, user: string, virtualHost: string, index: number) {
  const item = fields(permissions, `users[${index}].permissions`);
  const { configure, write, read } = readPermissions(item, user, virtualHost);
  return { configure, write, read };
}
