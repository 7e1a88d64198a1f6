import { formatAddress, type SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import { State } from "../core/stream_port.js";
import { Ended, NO_HANDLE } from "../engine/streams.js";
import { connectionClose } from "../observe/channels.js";
import { isTracing, trace } from "../observe/trace.js";
import { Linger } from "./linger.js";
import { amountSent, dropUnsent, outputEnded, unsentBytes, whenOpen } from "./output.js";
import * as reasons from "./reasons.js";
import type { Transport } from "./transport.js";
import {
  AWAITS_DRAIN,
  END_DUE,
  FED,
  FINISHING,
  LIVE_ADDRESS,
  PASSING,
  PAUSED,
  PEER_ENDED,
  WRITE_ENDED,
  WRITE_ONLY,
} from "./transport_state.js";
import { failureOf, warnIfUnheard } from "./unheard.js";

// How a stream ends, in the order of its steps: it is asked to (finish, end, a deadline), the engine reports its end or the
// program's own comes to its tick, the handle is given up, and the user is told.

/** Ends the sending direction alone, after what is queued. */
export function halfClose(life: Transport): void {
  if (life.flags & WRITE_ONLY) {
    finish(life);
    return;
  }
  if (life.state > State.open || life.flags & (WRITE_ENDED | FINISHING)) return;
  if (life.flags & FED) life.extras?.fedBy?.stop();
  life.flags |= WRITE_ENDED;
  whenOpen(life, () => life.engine.shutdown(life.handle));
}

/** Sends everything, then closes: `closeConnectionAfterWriting`. */
export function finish(life: Transport): void {
  if (life.state > State.open || life.flags & FINISHING) return;
  leaveRelays(life);
  if (hasNothingToWaitFor(life)) {
    life.end(reasons.LOCAL_CLOSE);
    return;
  }
  life.flags |= FINISHING;
  whenOpen(life, () => {
    life.state = State.closing;
    life.engine.finish(life.handle);
    life.more().linger = new Linger(life);
  });
}

/** The same, and it ends for this reason, unless it has one; also where it is closing after writing already. */
export function finishFor(life: Transport, reason: CloseReason): void {
  if (life.state === State.closed || life.reason !== undefined) return;
  life.more().verdict ??= reason;
  finish(life);
  if (reason.kind === "timeout") life.extras?.linger?.last();
}

/** A relay is in the way of what the program asks for. */
export function leaveRelays(life: Transport): void {
  if ((life.flags & (PASSING | FED)) === 0) return;
  life.extras?.passing?.stop();
  life.extras?.fedBy?.stop();
}

/** The peer has ended its side, and nothing is left to be sent. */
function hasNothingToWaitFor(life: Transport): boolean {
  if (life.state !== State.open || (life.flags & PEER_ENDED) === 0 || !life.engine.closesInOrder) return false;
  return unsentBytes(life) === 0 && !life.isSendingFile;
}

/**
 * Ends the connection now for this reason; the first reason given stands. `unbind` takes its place among the ticks: it
 * comes before those that are asked for from here on, whatever the engine has delivered by then.
 */
export function end(life: Transport, reason: CloseReason, how: "close" | "abort"): void {
  if (life.state === State.closed || life.reason !== undefined) return;
  life.reason = life.extras?.verdict ?? reason;
  const wasConnecting = life.state === State.connecting;
  life.state = State.closing;
  if (life.flags & FED) life.extras?.fedBy?.onTargetClosing();
  if (life.home.process === undefined) {
    life.flags |= END_DUE;
    life.core.ownTick(life);
  }
  if (wasConnecting) life.origin.pending?.cancel(how);
  else if (how === "abort") life.engine.abort(life.handle);
  else life.engine.close(life.handle);
}

/** A deadline has expired. The program may let it run anew (true), or have a last word, which is written before the end. */
export function expired(life: Transport, reason: CloseReason & { kind: "timeout" }): boolean {
  if (life.state !== State.open) {
    life.end(reason);
    return false;
  }
  const sentBefore = amountSent(life);
  const goesOn = life.call(life.receiver.deadlineReached, reason.deadline) === true;
  if (goesOn) return life.isOpen;
  if (life.isOpen && amountSent(life) === sentBefore) {
    life.end(reason);
  } else if (life.reason === undefined) {
    life.more().verdict = reason;
    finish(life);
    life.extras?.linger?.last();
  }
  return false;
}

/** The tick of a connection that the program has ended. */
export function endAtTick(life: Transport): void {
  const { handle } = life;
  if (handle !== NO_HANDLE) {
    leaveEngine(life);
    life.home.forget(handle);
  }
  ended(life, life.reason as CloseReason);
  life.core.checkIdle();
}

/** The engine reports the end of the handle. */
export function endOfHandle(life: Transport, how: Ended, errno: number, syscall: string): void {
  if (life.flags & END_DUE) {
    // Its tick is yet to come. What TLS came to can be asked of the engine for the last time.
    void life.extras?.tls?.info;
    leaveEngine(life);
    return;
  }
  if (how === Ended.detached) {
    life.reason = reasons.DETACHED;
    life.extras?.promises?.onDetached(life.engine.takeDetached(life.handle));
  }
  leaveEngine(life);
  ended(life, life.reason ?? reasonFor(life, how, errno, syscall));
}

/** What is still wanted of the handle is asked now. */
function leaveEngine(life: Transport): void {
  if (life.flags & PASSING) life.extras?.passing?.onSourceClosing();
  if (life.flags & FED) life.extras?.fedBy?.onTargetClosing();
  dropUnsent(life);
  if (life.flags & LIVE_ADDRESS) {
    // The kernel forgets the addresses with the descriptor; they stay readable on the connection.
    const extras = life.more();
    extras.local = life.localAddress();
    extras.remote = life.remoteAddress();
  }
  life.handle = NO_HANDLE;
}

function reasonFor(life: Transport, how: Ended, errno: number, syscall: string): CloseReason {
  const verdict = life.extras?.verdict;
  if (verdict !== undefined) return verdict;
  if (how === Ended.error) return reasons.systemFailure(errno, syscall);
  if (how === Ended.fileTruncated) return reasons.fileTruncated();
  const tls = life.extras?.tls;
  if (how === Ended.tls) return tls?.failure() ?? reasons.PEER_CLOSED;
  // Both halves ended in order: whoever began has no other name than a close by the peer, unless we closed.
  return life.flags & FINISHING ? reasons.LOCAL_CLOSE : (tls?.peerClosed() ?? reasons.PEER_CLOSED);
}

/** The connection is closed, and `unbind` is called. */
export function ended(life: Transport, cause: CloseReason): void {
  const { core, extras } = life;
  const reason = life.home.process?.describe(cause) ?? cause;
  life.state = State.closed;
  life.reason = reason;
  life.flags &= ~(AWAITS_DRAIN | PAUSED);
  if (!life.wasOpened) core.members.delete(life);
  if (extras !== undefined) {
    extras.deadlines?.stop();
    extras.linger?.stop();
    extras.timers?.cancel();
    outputEnded(life, extras, reason);
    extras.promises?.onEnded(reason);
    extras.tls?.ended(reason);
  }
  life.origin.ended();
  core.connectionEnded(reason.kind);
  if (connectionClose.hasSubscribers) connectionClose.publish({ ...life.message(), reason });
  if (isTracing) trace("connection %d: ended, %s", life.id, tracedEnd(reason));
  life.call(life.receiver.unbind, reason);
  extras?.passing?.onSourceEnded(reason);
  extras?.fedBy?.onTargetEnded(reason);
  life.extras?.tls?.forget();
  life.extras?.promises?.onUnbound(reason);
  if (!life.wasOpened || life.extras?.tls !== undefined) sayUnheard(life, reason);
}

/** A client's connect, or its TLS, failed: somebody is to hear of it. */
function sayUnheard(life: Transport, reason: CloseReason): void {
  const { extras, origin, wasOpened } = life;
  const tls = extras?.tls;
  if (origin.accepts || extras?.promises !== undefined || tls?.isAwaited) return;
  if (wasOpened && tls?.isClient !== true) return;
  const failure = failureOf(reason, wasOpened, tls?.isSecured === true);
  if (failure === undefined) return;
  const remote = wasOpened ? life.remoteAddress() : undefined;
  warnIfUnheard(life.receiver, failure, remote === undefined ? "" : `${formatAddress(remote)}: `);
}

function tracedEnd(reason: CloseReason): string {
  return "error" in reason ? `${reason.kind}: ${reason.error}` : reason.kind;
}

/** From where to where a connection goes, for the trace. */
export function tracedPath(life: Transport): string {
  const named = (address: SocketAddress | undefined): string =>
    address === undefined ? "a stream" : formatAddress(address);
  return `${named(life.localAddress())} ${life.origin.accepts ? "from" : "to"} ${named(life.remoteAddress())}`;
}
