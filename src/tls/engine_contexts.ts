import { UnsupportedError } from "../base/errors.js";
import type { Engine } from "../engine/engine.js";
import type { TlsContextId, TlsTrust } from "../engine/tls.js";
import { type ContextInsides, type ContextUse, TlsContext, type TlsRole } from "./tls_context.js";

/**
 * What one running engine has made of contexts: made when first used, and released when the context is (by its owner, or by
 * the garbage collector), or with the engine.
 */
export class EngineContexts {
  readonly #engine: Engine;
  #uses = new WeakMap<TlsContext, EngineUse>();
  readonly #registry = new FinalizationRegistry<EngineUse>((use) => use.close());
  readonly #open = new Set<EngineUse>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Throws TlsError, and UnsupportedError for several ticket keys where the engine takes one. */
  idFor(context: TlsContext, role: TlsRole): TlsContextId {
    let use = this.#uses.get(context);
    if (use === undefined) {
      use = new EngineUse(this.#engine, (closed) => this.#open.delete(closed));
      this.#uses.set(context, use);
      this.#open.add(use);
      this.#registry.register(context, use);
      TlsContext.insides(context).uses.add(use);
    }
    return use.idFor(role, context);
  }

  /** Its owner has no use for it any more; connections that use it keep it. */
  release(context: TlsContext): void {
    this.#uses.get(context)?.close();
    this.#uses.delete(context);
  }

  /** The engine stops, and everything it made goes with it. */
  close(): void {
    for (const use of this.#open) use.abandon();
    this.#open.clear();
  }
}

/** What an engine made of one context, for each role. */
class EngineUse implements ContextUse {
  readonly #made = new Map<TlsRole, { readonly id: TlsContextId; readonly trust: TlsTrust }>();
  readonly #engine: Engine;
  readonly #closed: (use: EngineUse) => void;
  isClosed = false;

  constructor(engine: Engine, closed: (use: EngineUse) => void) {
    this.#engine = engine;
    this.#closed = closed;
  }

  /** Made anew where Node trusts others by now: connections that use the old one keep it. */
  idFor(role: TlsRole, context: TlsContext): TlsContextId {
    const insides = TlsContext.insides(context);
    const made = this.#made.get(role);
    if (made?.trust === insides.trustFor(role)) return made.id;
    const id = this.#make(role, insides);
    if (made !== undefined) this.#engine.releaseTlsContext(made.id);
    return id;
  }

  #make(role: TlsRole, insides: ContextInsides): TlsContextId {
    const settings = insides.settingsFor(role);
    if (settings.ticketKeys.length > 1) this.requireTicketKeySets();
    if (insides.namesBounds && !this.#engine.capabilities.has("tlsBounds")) {
      throw new UnsupportedError("tlsBounds", this.#engine.name);
    }
    const id = this.#engine.createTlsContext(settings);
    this.#made.set(role, { id, trust: settings.trust });
    return id;
  }

  requireTicketKeySets(): void {
    if (!this.#engine.capabilities.has("ticketKeySets")) throw new UnsupportedError("ticketKeySets", this.#engine.name);
  }

  setTicketKeys(keys: readonly Buffer[]): void {
    for (const { id } of this.#made.values()) this.#engine.setTicketKeys(id, keys);
  }

  setStaple(response: Buffer | undefined): void {
    const id = this.#made.get("server")?.id;
    if (id !== undefined) this.#engine.setStaple(id, response);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const { id } of this.#made.values()) this.#engine.releaseTlsContext(id);
    this.#closed(this);
  }

  abandon(): void {
    this.isClosed = true;
  }
}
