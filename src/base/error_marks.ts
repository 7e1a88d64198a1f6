/**
 * Where an error comes from, noted beside it: whoever finds one thrown out of a callback must tell a mistake of the program
 * from an end that is reported elsewhere. Notes are made when an error is handed out, which is rare, and go with it.
 */

const ends = new WeakMap<object, WeakSet<object>>();
const peers = new WeakSet<object>();

/** Notes that the error says nothing but that this connection has ended: `unbind` reports that. Returns the error. */
export function markEnd<E>(error: E, connection: object): E {
  if (!isObject(error)) return error;
  const connections = ends.get(error);
  if (connections === undefined) ends.set(error, new WeakSet([connection]));
  else connections.add(connection);
  return error;
}

export function isEndOf(error: unknown, connection: object): boolean {
  return isObject(error) && ends.get(error)?.has(connection) === true;
}

/** Whether it says that some connection has ended. */
export function isEnd(error: unknown): boolean {
  return isObject(error) && ends.has(error);
}

/** Notes that the error is the peer's: it sent what goes over a limit. Returns the error. */
export function markPeer<E>(error: E): E {
  if (isObject(error)) peers.add(error);
  return error;
}

export function isPeers(error: unknown): boolean {
  return isObject(error) && peers.has(error);
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
