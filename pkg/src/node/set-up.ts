// Set-up: the virtual hosts, users and definitions that a broker starts with: the stored ones, then those of the
// options.
import { shortText } from "../core/arguments.js";
import { EVERYTHING, GUEST } from "./access/access.js";
import type { AccessFile } from "./data/access-file.js";
import { fields } from "./definitions/fields.js";
import { importDefinitions } from "./definitions/import.js";
import { readDefinitions, readPermissions, readUser } from "./definitions/read.js";
import type { Operations } from "./operations.js";
import { checkReach, type ListenOptions, type UserOptions } from "./options.js";

/** Restores the stored ones and adds those of the options; adds guest when there is no user. */
export function setUp(operations: Operations, options: ListenOptions, file?: AccessFile): void {
  const { access } = operations;
  file?.restore(access);
  operations.restrict();
  options.vhosts?.forEach((name, index) => {
    operations.setVirtualHost(shortText(name, `vhosts[${index}]`));
  });
  const definitions = options.definitions && readDefinitions(options.definitions);
  if (definitions) importDefinitions(operations, definitions);
  options.users?.forEach((user, index) => {
    addUser(operations, user, index);
  });
  const others = [...access.users.keys()].filter((name) => name !== GUEST);
  checkReach(options.host, others.length > 0, options.remoteGuest);
  if (access.users.size === 0) access.addGuest();
  if (!file) return;
  file.begin(
    access,
    [...(definitions?.users ?? []), ...(options.users ?? [])].map(({ name }) => name),
  );
  operations.saveAccessTo(file);
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
