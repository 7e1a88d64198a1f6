import { Duplex } from "node:stream";
import { createSecureContext, TLSSocket } from "node:tls";

/**
 * Whether node:tls or node:http2 stands on this stream. They work below JavaScript, on a socket's handle; on any other
 * stream Node puts an adapter with a handle of its own, which is a `net.Socket` and ends what it stands on as a socket ends
 * itself: when its user has read everything and written the last byte, and TLS its close_notify. Nothing outside can tell when
 * that is, for the user may take time; a stream that ended itself would cut the user off.
 *
 * The adapter cannot be asked for. It is known by what it listens to `end` with: every one of them does so with another
 * closure of the same function. Ask before `end` is emitted, for it listens once.
 */
export function hasHandleAdapter(stream: Duplex): boolean {
  const listeners = stream.listeners("end");
  if (listeners.length === 0) return false;
  listensAs ??= adapterListeners();
  return listeners.some((listener) => listensAs?.has(String(listener)));
}

/** The text of the functions with which Node's adapter listens to `end`; found when it is first needed. */
let listensAs: ReadonlySet<string> | undefined;

function adapterListeners(): ReadonlySet<string> {
  const stream = new Duplex({ read() {} });
  // Of no certificates, so that none are loaded for it.
  const tls = new TLSSocket(stream, { secureContext: createSecureContext({ ca: [] }) });
  const texts = stream.listeners("end").map(String);
  tls.destroy();
  // Functions that do not show their source all look the same.
  return new Set(texts.filter((text) => !text.includes("[native code]")));
}
