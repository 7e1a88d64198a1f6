import { randomBytes } from "node:crypto";
import type { TlsContext } from "eventmachine";
import { clientContext, serverContext } from "../support/pki.js";
import type { Random } from "../support/random.js";

/** Thousands of handshakes may stand in line at one thread. */
const HANDSHAKE_TIMEOUT = 45_000;

/** Tickets are renewed so often: sessions are resumed in between, and strangers behind it. */
const KEY_LIFE = 8_000;

/** The server's context, whose ticket key changes. It keeps the process no longer than anything else does. */
export function soakServerContext(): TlsContext {
  const context = serverContext({ handshakeTimeout: HANDSHAKE_TIMEOUT });
  setInterval(() => context.setTicketKeys([randomBytes(48)]), KEY_LIFE).unref();
  return context;
}

const clients = (["TLSv1.2", "TLSv1.3"] as const).map((maxVersion) =>
  clientContext({ maxVersion, handshakeTimeout: HANDSHAKE_TIMEOUT }),
);

/** A client's context, of either version; each keeps the sessions it can resume. */
export function soakClientContext(random: Random): TlsContext {
  return random.pick(clients);
}
