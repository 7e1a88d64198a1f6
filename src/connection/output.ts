import type { CloseReason } from "../base/close_reason.js";
import { EventMachineError } from "../base/errors.js";
import { State } from "../core/stream_port.js";
import type { TransportHome } from "../core/transport_home.js";
import { NO_HANDLE } from "../engine/streams.js";
import { closeFile, FileSends, type OpenFile } from "./file_sends.js";
import { Life } from "./life.js";
import { OpeningQueue } from "./opening_queue.js";
import * as reasons from "./reasons.js";
import { readOnly, relaying, writeEnded } from "./refusals.js";
import type { Transport } from "./transport.js";
import type { TransportExtras } from "./transport_extras.js";
import { AWAITS_DRAIN, FED, FINISHING, READ_ONLY, UNREAD, WRITE_ENDED } from "./transport_state.js";

// What a stream sends: bytes and files in the order of the calls, from before it is open; the water marks, between which the
// program is told to stop and to go on; and the limits, above which the connection ends.

/** Unsent bytes, file bytes apart. */
export function unsentBytes(life: Transport): number {
  if (life.handle !== NO_HANDLE) return life.engine.outboundSize(life.handle);
  return life.extras?.opening?.size ?? 0;
}

/** Grows with everything the program sends, files too. */
export function amountSent(life: Transport): number {
  return life.written + (life.extras?.files?.size ?? 0);
}

// Bytes ------------------------------------------------------------------------------------------------------------

export function sendBytes(life: Transport, data: Uint8Array): boolean {
  if (life.state !== State.open) return sendUnopened(life, data);
  const { engine } = life.home;
  const { handle } = life;
  if (!mayWrite(life, engine.outboundSize(handle))) return false;
  engine.write(handle, data);
  life.written += data.length;
  return belowHighWater(life, engine.outboundSize(handle));
}

export function sendString(life: Transport, text: string, encoding: BufferEncoding): boolean {
  if (life.state !== State.open) return sendUnopened(life, Buffer.from(text, encoding));
  const { engine } = life.home;
  const { handle } = life;
  if (!mayWrite(life, engine.outboundSize(handle))) return false;
  life.written += engine.writeString(handle, text, encoding);
  return belowHighWater(life, engine.outboundSize(handle));
}

function mayWrite(life: Transport, unsent: number): boolean {
  if (life.flags & (WRITE_ENDED | FED | UNREAD)) {
    if (life.flags & (WRITE_ENDED | FED)) throw notWritable(life);
    return false;
  }
  if (unsent === 0) {
    if (life.extras !== undefined) outputBegins(life);
    return true;
  }
  if (unsent <= life.settings.outboundLimit) return true;
  limitPassed(life, unsent);
  return false;
}

/** Why nothing more is sent on it. */
export function notWritable(life: Transport): Error {
  return life.flags & FED
    ? relaying("nothing else is sent to its target")
    : life.flags & READ_ONLY
      ? readOnly()
      : writeEnded();
}

/** Bytes of a relay, which bounds them itself. */
export function passOn(life: Transport, data: Buffer, isOwned: boolean): void {
  if (life.extras?.deadlines !== undefined && unsentBytes(life) === 0) outputBegins(life);
  if (isOwned) life.engine.writeOwned(life.handle, data);
  else life.engine.write(life.handle, data);
  life.written += data.length;
}

function limitPassed(life: Transport, unsent: number): void {
  life.end(reasons.outboundLimitPassed(unsent, life.settings.outboundLimit, "connection"));
}

/** Nothing else waits to be sent: a file under way has begun the write deadline before. */
function outputBegins(life: Transport): void {
  if (!life.isSendingFile) life.extras?.deadlines?.outputBegins();
}

function belowHighWater(life: Transport, unsent: number): boolean {
  const { core, engine } = life.home;
  if (unsent >= life.settings.highWaterMark) {
    if (engine.totalOutbound() > core.outboundLimit) relieve(life.home);
    if (life.state === State.open && (life.flags & AWAITS_DRAIN) === 0) {
      life.flags |= AWAITS_DRAIN;
      engine.awaitWritable(life.handle);
    }
    return false;
  }
  if (unsent > 0 && engine.totalOutbound() > core.outboundLimit) relieve(life.home);
  return true;
}

/** The reactor as a whole holds too much unsent output: the largest queues of streams go, until it does not. */
function relieve(home: TransportHome): void {
  const { core, engine } = home;
  const holders = home
    .endpoints()
    .filter((each): each is Life => each instanceof Life && each.isStream && each.state === State.open)
    .sort((a, b) => b.outboundSize() - a.outboundSize());
  let excess = engine.totalOutbound() - core.outboundLimit;
  for (const holder of holders) {
    if (excess <= 0) return;
    excess -= holder.outboundSize();
    holder.end(reasons.outboundLimitPassed(engine.totalOutbound(), core.outboundLimit, "reactor"));
  }
}

/** Unsent output has fallen to the low-water mark. */
export function reportDrained(life: Transport): void {
  if ((life.flags & AWAITS_DRAIN) === 0) return;
  life.flags &= ~AWAITS_DRAIN;
  if (life.state === State.open) life.call(life.receiver.drained);
}

/** Has `drained` called when everything sent is with the kernel: for the owner of an output that has ended. */
export function awaitFlushed(life: Transport): void {
  life.adjust({ lowWaterMark: 0 });
  if (life.flags & AWAITS_DRAIN) return;
  life.flags |= AWAITS_DRAIN;
  if (life.state === State.open) life.engine.awaitWritable(life.handle);
}

// Before the connection is open ------------------------------------------------------------------------------------

function sendUnopened(life: Transport, data: Uint8Array): boolean {
  if (life.state !== State.connecting || life.flags & FINISHING) return false;
  if (life.flags & (WRITE_ENDED | FED)) throw notWritable(life);
  const opening = openingOf(life);
  if (opening.size > life.settings.outboundLimit) {
    limitPassed(life, opening.size);
    return false;
  }
  opening.add(data);
  life.written += data.length;
  if (opening.size < life.settings.highWaterMark) return true;
  life.flags |= AWAITS_DRAIN;
  return false;
}

/** Does it when the connection is open, in its place among what is sent. Not at all where it is closing. */
export function whenOpen(life: Transport, action: () => void): void {
  if (life.state === State.open) action();
  else if (life.state === State.connecting) openingOf(life).addAction(action);
}

function openingOf(life: Transport): OpeningQueue {
  const extras = life.more();
  extras.opening ??= new OpeningQueue();
  return extras.opening;
}

/** The connection is open: what waited for that is sent. */
export function sendQueued(life: Transport, opening: OpeningQueue): void {
  const { engine } = life.home;
  const extras = life.more();
  extras.opening = undefined;
  extras.deadlines?.outputBegins();
  opening.run((data) => engine.write(life.handle, data));
  if (life.flags & AWAITS_DRAIN) engine.awaitWritable(life.handle);
}

// Files ------------------------------------------------------------------------------------------------------------

/** Sends an open file, after `head` and before `tail` where those are given. */
export function sendFile(life: Transport, file: OpenFile, head: string, tail: string): Promise<number> {
  if (head !== "") sendString(life, head, "latin1");
  const sent = sendRange(life, file);
  if (tail !== "") sendString(life, tail, "latin1");
  return sent;
}

function sendRange(life: Transport, file: OpenFile): Promise<number> {
  if (life.flags & FED) {
    closeFile(file.fd);
    return Promise.reject(notWritable(life));
  }
  if (file.size === 0) {
    closeFile(file.fd);
    return Promise.resolve(0);
  }
  const extras = life.more();
  extras.files ??= new FileSends();
  if (unsentBytes(life) === 0) outputBegins(life);
  const sent = extras.files.add(file);
  whenOpen(life, () => life.engine.sendFile(life.handle, file.fd, 0, file.size));
  return sent;
}

// Ending -----------------------------------------------------------------------------------------------------------

/** The engine is about to forget the handle, and what of its output it has not sent. */
export function dropUnsent(life: Transport): void {
  const unsent = life.engine.outboundSize(life.handle);
  if (unsent === 0) return;
  life.written -= unsent;
  life.more().unsent = unsent;
}

/** The connection has ended: nothing of its output goes out any more. */
export function outputEnded(life: Transport, extras: TransportExtras, reason: CloseReason): void {
  extras.opening = undefined;
  const message = `the connection closed (${reason.kind}) before the file was sent`;
  extras.files?.fail(life.asEnd(new EventMachineError("ERR_EM_CLOSED", message)));
}
