import type { CloseReason } from "../base/close_reason.js";
import { describe } from "../base/describe.js";
import { ArgumentError, StateError } from "../base/errors.js";
import { PROXY_HOLD_LIMIT } from "../base/limits.js";
import { isPromise } from "../base/thenable.js";
import type { Peeked } from "../codecs/peek/peek.js";
import { Connection } from "../connection/connection.js";
import type { ConnectAddress } from "../options/options.js";
import { relay } from "../relay/relay.js";
import type { Timer } from "../timers/timer.js";
import type { Access } from "./access.js";
import { Backend } from "./backend.js";
import type { BackendPool, NoBackend } from "./backend_pool.js";
import { headerOf, keyOf } from "./client_address.js";
import { Kept } from "./kept.js";
import { type Front, Leg } from "./legs.js";
import type { ProxyHost } from "./proxy_host.js";
import type { Hooks, ProxyEnd, ProxyOutcome, ProxySession, ProxyVerdict } from "./proxy_session.js";
import type { Router } from "./routes.js";

/** What one visit shares with all others of its proxy. */
export interface VisitHome {
  readonly host: ProxyHost;
  readonly pool: BackendPool;
  readonly hooks: Hooks;
  readonly hasTls: boolean;
  readonly connectTimeout: number;
  readonly retries: number;
  /** 0 for none. */
  readonly idleTimeout: number;
  readonly bufferSize: number;
  readonly access: Access | undefined;
  readonly router: Router | undefined;
  readonly peekLimit: number;
  readonly peekTimeout: number;
  finished(visit: Visit, outcome: ProxyOutcome): void;
}

const Phase = {
  /** No backend is asked for yet. */
  begun: 0,
  /** It waits for one, or for one to be connected. */
  connecting: 1,
  /** Bytes pass through the hooks. */
  open: 2,
  /** They pass unseen. */
  relaying: 3,
  over: 4,
} as const;

/** One client's way through the proxy: its connection, the one to its backend, and what passes between them. */
export class Visit {
  readonly front: Front;
  leg: Leg | undefined;
  readonly #home: VisitHome;
  readonly #session: ProxySession | undefined;
  readonly #startedAt: number;
  readonly #tried = new Set<Backend>();
  readonly #held = new Kept();
  readonly #heldResponse = new Kept();
  readonly #pending = new Kept();
  #shadows: Leg[] = [];
  #phase: number = Phase.begun;
  #isWanted: ((name: string) => boolean) | undefined;
  #isAdmitted = false;
  /** Its first bytes are looked at. */
  #isPeeking = false;
  #peekDeadline: Timer | undefined;
  peeked: Peeked | undefined;
  #key: string | undefined;
  #cancelWait: (() => void) | undefined;
  #connectingAt = Number.NaN;
  #acquiredAt = Number.NaN;
  #connectedAt = Number.NaN;
  #wantsSplice = false;
  #hasClientFinished = false;
  /** Whose FIN came first. */
  #finishedFirst: "client" | "backend" | undefined;
  #end: ProxyEnd | undefined;
  #isFrontOver = false;

  constructor(home: VisitHome, front: Front, session: ProxySession | undefined) {
    this.#home = home;
    this.front = front;
    this.#session = session;
    this.#startedAt = home.host.now();
  }

  get startedAt(): number {
    return this.#startedAt;
  }

  get isRelaying(): boolean {
    return this.#phase === Phase.relaying;
  }

  // The client's connection ------------------------------------------------------------------------------------------

  /** It is there; under TLS it begins when that is secured. */
  entered(): void {
    const { front } = this;
    const { access, host, hasTls } = this.#home;
    if (access !== undefined && !access.admits(front.remoteAddress, host.now())) {
      this.#end = "refused";
      front.abort();
      return;
    }
    this.#isAdmitted = access !== undefined;
    front.pause();
    if (!hasTls) this.begin();
  }

  begin(): void {
    if (this.peeked !== undefined) {
      // A route has had it begin with TLS.
      this.#see(Buffer.alloc(0));
      return;
    }
    const session = this.#session;
    if (session === undefined) {
      this.#goOn();
      return;
    }
    const result = this.#hook(() => session.onConnect());
    if (!isPromise(result)) this.#goOn();
    else
      result.then(
        () => this.#goOn(),
        () => {},
      );
  }

  #goOn(): void {
    if (this.#phase !== Phase.begun || this.#isFrontOver) return;
    const { router, peekTimeout, host } = this.#home;
    if (router !== undefined && this.peeked === undefined) {
      this.#isPeeking = true;
      this.#peekDeadline = host.addTimer(peekTimeout, () => this.#peek(router, true));
      this.front.resume();
      return;
    }
    if (this.#home.hooks.data && !this.#wantsSplice) this.front.resume();
    else this.#connect();
  }

  clientSent(data: Buffer): void {
    const { router } = this.#home;
    if (this.#isPeeking && router !== undefined) {
      this.#held.add(data);
      this.#peek(router, false);
    } else {
      this.#see(data);
    }
  }

  /** Looks at what the client has sent, and has it go where that belongs. */
  #peek(router: Router, isTimeOver: boolean): void {
    if (!this.#isPeeking || this.#isFrontOver) return;
    const bytes = this.#held.bytes === 0 ? Buffer.alloc(0) : this.#held.take();
    const isLate = isTimeOver || bytes.length >= this.#home.peekLimit;
    const found = this.#hook(() => router.decide(bytes, isLate));
    if (this.#isFrontOver) return;
    if (found === undefined) {
      this.#held.add(bytes);
      return;
    }
    this.#isPeeking = false;
    this.#peekDeadline?.cancel();
    const { peeked, route } = found;
    this.peeked = peeked;
    this.#isWanted = (name) => (route === undefined ? router.isForOthers(name) : route.names.has(name));
    if (route?.tls !== undefined) {
      const { tls } = route;
      this.#hook(() => this.front.startTls({ context: tls, received: bytes }));
      return;
    }
    this.#see(bytes);
  }

  /** Bytes that are passed on, or are for the session's hooks to judge. */
  #see(data: Buffer): void {
    if (this.#phase >= Phase.relaying) return;
    const session = this.#session;
    const held = this.#held;
    if (session === undefined || !this.#home.hooks.data || this.#wantsSplice) {
      this.#forward(data);
      return;
    }
    if (data.length === 0) {
      this.front.resume();
      return;
    }
    const all = held.bytes === 0 ? data : held.take(data);
    const verdict = this.#hook(() => checkVerdict(session.onData(all), "onData"));
    if (this.#phase === Phase.over || this.#isFrontOver) return;
    if (verdict === "hold") this.#keep(held, all);
    else if (verdict !== undefined && verdict !== "drop") this.#forward(verdict);
    this.#maybeRelay();
  }

  clientFinished(): void {
    this.#finishedFirst ??= "client";
    this.#hasClientFinished = true;
    if (this.#phase === Phase.relaying) return;
    // Nobody can say any more what the held bytes are.
    if (this.#isPeeking) {
      this.#peek(this.#home.router!, true);
      if (this.#phase !== Phase.connecting) this.close("client-closed");
    } else if (this.#phase === Phase.begun || this.#held.bytes > 0) this.close("client-closed");
    else if (this.#phase === Phase.open) this.#finishBackend();
  }

  clientDrained(): void {
    if (this.#phase === Phase.open) this.leg?.resume();
  }

  clientEnded(reason: CloseReason): void {
    this.#isFrontOver = true;
    this.#end ??= this.#endOf("client", reason);
    this.#cancelWait?.();
    this.#cancelWait = undefined;
    this.#peekDeadline?.cancel();
    if (this.#isAdmitted) this.#home.access?.left(this.front.remoteAddress);
    const { leg } = this;
    const inOrder = reason.kind === "peer-closed" || reason.kind === "local-close";
    for (const each of [...this.#shadows, ...(leg === undefined ? [] : [leg])]) {
      if (inOrder && each.isUp) each.closeConnectionAfterWriting();
      else each.abort();
    }
    this.#settle();
  }

  /** The reactor drains: what passes goes on, who waits goes. */
  shutdownRequested(): void {
    if (this.#phase < Phase.open) this.close("stopped");
  }

  /** Ends the visit, for this reason where there is none before. */
  close(why: ProxyEnd): void {
    this.#end ??= why;
    this.front.closeConnectionAfterWriting();
  }

  // The backend ------------------------------------------------------------------------------------------------------

  #connect(): void {
    this.#phase = Phase.connecting;
    this.front.pause();
    if (Number.isNaN(this.#connectingAt)) this.#connectingAt = this.#home.host.now();
    this.#cancelWait = this.#home.pool.acquire({
      key: this.#key ?? keyOf(this.front.remoteAddress),
      tried: this.#tried,
      isWanted: this.#isWanted,
      found: (backend) => {
        this.#cancelWait = undefined;
        this.#dial(backend);
      },
      failed: (why) => {
        this.#cancelWait = undefined;
        this.#noBackend(why);
      },
    });
  }

  #noBackend(why: NoBackend): void {
    // Where others have failed before, that is why.
    this.close(this.#tried.size > 0 && why === "no-backend" ? "connect-failed" : why);
  }

  #dial(backend: Backend): void {
    this.#acquiredAt = this.#home.host.now();
    this.leg = this.#legTo(backend, false);
  }

  #legTo(backend: Backend, isShadow: boolean): Leg {
    const { host, connectTimeout, idleTimeout } = this.#home;
    const { target, tls, proxyProtocol } = backend;
    const address: ConnectAddress = {
      ...target,
      connectTimeout,
      allowHalfOpen: true,
      commInactivityTimeout: isShadow ? 0 : idleTimeout,
      ...(tls === undefined ? {} : { tls }),
      ...(proxyProtocol === undefined ? {} : { proxyHeader: headerOf(proxyProtocol, this.front) }),
    };
    return host.connect(address, Leg, this, backend, isShadow);
  }

  legUp(leg: Leg): void {
    const session = this.#session;
    if (!leg.isShadow) {
      this.#home.pool.connected(leg.backend);
      this.#connectedAt = this.#home.host.now();
      this.#phase = Phase.open;
    }
    if (session !== undefined) this.#hook(() => session.onBackendConnect(leg));
    if (leg.isShadow || this.#isFrontOver) return;
    const { hooks } = this.#home;
    if (session === undefined || (!hooks.data && !hooks.response)) this.#wantsSplice = true;
    this.#maybeRelay();
    if (this.#phase !== Phase.open) return;
    if (this.#pending.bytes > 0) leg.sendData(this.#pending.take());
    if (this.#hasClientFinished) this.#finishBackend();
    this.front.resume();
  }

  legSent(leg: Leg, data: Buffer): void {
    const session = this.#session;
    if (this.#phase !== Phase.open && !leg.isShadow) return;
    if (session === undefined || !this.#home.hooks.response) {
      if (!leg.isShadow) this.#answer(data);
      return;
    }
    const held = this.#heldResponse;
    const all = leg.isShadow || held.bytes === 0 ? data : held.take(data);
    const verdict = this.#hook(() => checkVerdict(session.onResponse(all, leg), "onResponse"));
    if (leg.isShadow || this.#isFrontOver) return;
    if (verdict === "hold") this.#keep(held, all);
    else if (verdict !== undefined && verdict !== "drop") this.#answer(verdict);
    this.#maybeRelay();
  }

  legFinished(leg: Leg): void {
    if (leg.isShadow) {
      leg.closeConnectionAfterWriting();
      return;
    }
    this.#finishedFirst ??= "backend";
    if (this.#phase !== Phase.open) return;
    if (this.#heldResponse.bytes > 0) this.#answer(this.#heldResponse.take());
    this.front.halfClose();
    this.#bothFinished();
  }

  legDrained(leg: Leg): void {
    if (leg === this.leg && this.#phase === Phase.open) this.front.resume();
  }

  legEnded(leg: Leg, reason: CloseReason): void {
    if (leg.isShadow) {
      this.#shadows = this.#shadows.filter((each) => each !== leg);
      this.#settle();
      return;
    }
    const { pool, retries } = this.#home;
    const { backend } = leg;
    backend.bytesIn += leg.bytesOut;
    backend.bytesOut += leg.bytesIn;
    this.leg = undefined;
    if (!leg.isUp) {
      // What was called off says nothing of the backend.
      if (!this.#isFrontOver && reason.kind !== "stop") pool.failed(backend);
      pool.release(backend);
      this.#tried.add(backend);
      if (this.#isFrontOver) this.#settle();
      else if (this.#tried.size > retries || reason.kind === "stop") this.close("connect-failed");
      else this.#connect();
      return;
    }
    this.#tried.add(backend);
    pool.release(backend);
    this.#end ??= this.#endOf("backend", reason);
    // A relay ends the client's connection itself.
    if (this.#phase === Phase.open) {
      if (reason.kind === "peer-closed" || reason.kind === "local-close") this.front.closeConnectionAfterWriting();
      else this.front.abort();
    }
    this.#settle();
  }

  // What hooks ask ---------------------------------------------------------------------------------------------------

  useBackend(name: string): void {
    if (typeof name !== "string") throw new ArgumentError(`name must be a string, not ${describe(name)}`);
    this.#mustChoose("useBackend");
    this.#isWanted = (each) => each === name;
  }

  useKey(key: string): void {
    if (typeof key !== "string") throw new ArgumentError(`key must be a string, not ${describe(key)}`);
    this.#mustChoose("useKey");
    this.#key = key;
  }

  shadow(to: string): void {
    const leg = this.#legTo(new Backend(to), true);
    this.#shadows.push(leg);
  }

  toBackend(data: Uint8Array): void {
    if (this.#phase < Phase.relaying) this.#forward(checkBytes(data, "data"));
  }

  toClient(data: Uint8Array): void {
    if (this.#phase < Phase.relaying) this.#answer(checkBytes(data, "data"));
  }

  splice(): void {
    this.#wantsSplice = true;
    if (this.#phase === Phase.begun) return;
    // What the hook returns has to leave before.
    if (this.#hooksRunning === 0) this.#maybeRelay();
  }

  #mustChoose(method: string): void {
    if (this.#phase === Phase.begun) return;
    throw new StateError("ERR_EM_BACKEND_CHOSEN", `${method}: the backend is chosen already`);
  }

  // Bytes ------------------------------------------------------------------------------------------------------------

  #hooksRunning = 0;

  /** Calls a hook as a callback of the client's connection: what it throws is that connection's end. */
  #hook<T>(hook: () => T): T | undefined {
    this.#hooksRunning++;
    try {
      return Connection.portOf(this.front).call(hook) as T | undefined;
    } finally {
      this.#hooksRunning--;
    }
  }

  #keep(kept: Kept, data: Buffer): void {
    kept.add(data);
    if (kept.bytes > PROXY_HOLD_LIMIT) this.close("hold-limit");
  }

  #forward(data: Uint8Array): void {
    for (const shadow of this.#shadows)
      if (shadow.state !== "closing" && shadow.state !== "closed") shadow.sendData(data);
    const { leg } = this;
    if (this.#phase === Phase.open && leg !== undefined) {
      if (!leg.sendData(data)) this.front.pause();
      return;
    }
    // Hooks may pass on memory that is theirs.
    if (data.length > 0) this.#pending.add(Buffer.from(data));
    if (this.#phase === Phase.begun) this.#connect();
  }

  #answer(data: Uint8Array): void {
    if (!this.front.sendData(data)) this.leg?.pause();
  }

  /** The client has sent its FIN, and everything before that is with the backend. */
  #finishBackend(): void {
    this.leg?.halfClose();
    this.#bothFinished();
  }

  #bothFinished(): void {
    const { leg, front } = this;
    if (leg === undefined || !this.#hasClientFinished || !leg.hasFinished || this.#phase !== Phase.open) return;
    leg.closeConnectionAfterWriting();
    front.closeConnectionAfterWriting();
  }

  #maybeRelay(): void {
    const { leg, front } = this;
    if (!this.#wantsSplice || this.#phase !== Phase.open || leg?.isUp !== true || this.#isFrontOver) return;
    if (this.#held.bytes > 0) this.#pending.add(this.#held.take());
    if (this.#heldResponse.bytes > 0) this.#answer(this.#heldResponse.take());
    const received = this.#pending.bytes > 0 ? this.#pending.take() : undefined;
    for (const shadow of this.#shadows) shadow.closeConnectionAfterWriting();
    this.#phase = Phase.relaying;
    const { bufferSize, idleTimeout } = this.#home;
    const options = { bufferSize, ...(received === undefined ? {} : { received }) };
    relay(front, leg, idleTimeout > 0 ? { ...options, idleTimeout } : options).catch((error: unknown) => {
      Connection.portOf(front).handlerFailed(error);
    });
    front.resume();
    leg.resume();
  }

  // The end ----------------------------------------------------------------------------------------------------------

  #endOf(side: "client" | "backend", reason: CloseReason): ProxyEnd {
    switch (reason.kind) {
      case "peer-closed":
      case "local-close":
        return `${this.#finishedFirst ?? side}-closed`;
      case "peer-reset":
        return `${side}-reset`;
      case "timeout":
        return "idle-timeout";
      case "handler-error":
        return "hook-failed";
      case "stop":
      case "drain-deadline":
        return "stopped";
      default:
        return `${side}-failed`;
    }
  }

  #settle(): void {
    if (!this.#isFrontOver || this.leg !== undefined || this.#phase === Phase.over) return;
    this.#phase = Phase.over;
    const now = this.#home.host.now();
    const { front } = this;
    const isConnected = !Number.isNaN(this.#connectedAt);
    const backend = isConnected ? [...this.#tried].at(-1) : undefined;
    const outcome: ProxyOutcome = {
      end: this.#end ?? "closed",
      client: front.remoteAddress,
      backend: backend?.name,
      bytesIn: front.bytesIn,
      bytesOut: front.bytesOut,
      retries: Math.max(0, this.#tried.size - 1),
      queueTime: isConnected ? this.#acquiredAt - this.#connectingAt : undefined,
      connectTime: isConnected ? this.#connectedAt - this.#acquiredAt : undefined,
      duration: now - this.#startedAt,
    };
    const session = this.#session;
    if (session !== undefined) this.#hook(() => session.onFinish(outcome));
    this.#home.finished(this, outcome);
  }
}

function checkVerdict(verdict: unknown, hook: string): ProxyVerdict {
  if (verdict === "hold" || verdict === "drop" || verdict instanceof Uint8Array) return verdict;
  throw new ArgumentError(`${hook} must return bytes, "hold" or "drop", not ${describe(verdict)}`);
}

function checkBytes(data: unknown, name: string): Uint8Array {
  if (data instanceof Uint8Array) return data;
  throw new ArgumentError(`${name} must be bytes, not ${describe(data)}`);
}
