import type { Core } from "../core/core.js";
import { planServer, type ServerTls, type TlsPlan } from "../tls/tls_start.js";

/** The TLS of one listener: what newcomers begin with. */
export class ListenerTls {
  readonly #core: Core;
  #given: TlsPlan;
  /** For one connection; the context is not the connection's own, even where it is the listener's. */
  plan: TlsPlan;

  /** Throws what a context that cannot be served with is refused with. */
  constructor(core: Core, tls: ServerTls) {
    this.#core = core;
    this.#given = this.#checked(tls);
    this.plan = { ...this.#given, isOwned: false };
  }

  replace(tls: ServerTls): void {
    const next = this.#checked(tls);
    this.close();
    this.#given = next;
    this.plan = { ...next, isOwned: false };
  }

  /** Nobody comes any more; connections keep what they have begun with. */
  close(): void {
    if (this.#given.isOwned && this.#core.isOpen) this.#core.tlsContexts.release(this.#given.context);
  }

  /** The engine makes its context now, so that what it cannot make is found before anybody connects. */
  #checked(tls: ServerTls): TlsPlan {
    const plan = planServer(tls);
    this.#core.tlsContexts.idFor(plan.context, "server");
    return plan;
  }
}
