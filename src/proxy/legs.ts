import type { CloseReason } from "../base/close_reason.js";
import { Connection } from "../connection/connection.js";
import type { Backend } from "./backend.js";
import type { ProxyLeg } from "./proxy_session.js";
import type { Visit } from "./visit.js";

/** The client's connection. */
export class Front extends Connection {
  readonly #visit: Visit;

  constructor(enter: (front: Front) => Visit) {
    super();
    this.#visit = enter(this);
  }

  override postInit(): void {
    this.#visit.entered();
  }

  override sslHandshakeCompleted(): void {
    this.#visit.begin();
  }

  override receiveData(data: Buffer): void {
    this.#visit.clientSent(data);
  }

  override receiveEnd(): void {
    this.#visit.clientFinished();
  }

  override drained(): void {
    this.#visit.clientDrained();
  }

  override shutdownRequested(): void {
    this.#visit.shutdownRequested();
  }

  override unbind(reason: CloseReason): void {
    this.#visit.clientEnded(reason);
  }
}

/** A connection to a backend, or to a shadow. */
export class Leg extends Connection implements ProxyLeg {
  readonly backend: Backend;
  readonly isShadow: boolean;
  isUp = false;
  /** Its FIN has come. */
  hasFinished = false;
  readonly #visit: Visit;

  constructor(visit: Visit, backend: Backend, isShadow: boolean) {
    super();
    this.#visit = visit;
    this.backend = backend;
    this.isShadow = isShadow;
  }

  get name(): string {
    return this.backend.name;
  }

  get connection(): Connection {
    return this;
  }

  override connectionCompleted(): void {
    if (this.backend.tls === undefined) this.#up();
  }

  override sslHandshakeCompleted(): void {
    this.#up();
  }

  #up(): void {
    this.isUp = true;
    this.#visit.legUp(this);
  }

  override receiveData(data: Buffer): void {
    this.#visit.legSent(this, data);
  }

  override receiveEnd(): void {
    this.hasFinished = true;
    this.#visit.legFinished(this);
  }

  override drained(): void {
    this.#visit.legDrained(this);
  }

  override unbind(reason: CloseReason): void {
    this.#visit.legEnded(this, reason);
  }
}
