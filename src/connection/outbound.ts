import type { CloseReason } from "../base/close_reason.js";
import { EventMachineError } from "../base/errors.js";
import { State } from "../core/stream_port.js";
import type { TransportHome } from "../core/transport_home.js";
import type { StreamEngine } from "../engine/engine.js";
import { type Handle, NO_HANDLE } from "../engine/streams.js";
import type { StreamSettings } from "../options/options.js";
import { closeFile, FileSends, type OpenFile } from "./file_sends.js";
import { HandlerCalls } from "./handler_calls.js";
import { OpeningQueue } from "./opening_queue.js";
import * as reasons from "./reasons.js";
import { writeEnded } from "./refusals.js";
import type { TransportExtras } from "./transport_extras.js";
import { AWAITS_DRAIN, FINISHING, UNREAD, WRITE_ENDED } from "./transport_state.js";

/**
 * What a connection sends: bytes and files in the order of the calls, from before it is open; the water marks, between
 * which the program is told to stop and to go on; and the limits, past which the connection ends.
 *
 * Its own methods are protected and not `#private`: a class with private methods marks each of its instances with a field
 * of its own, and the transport has its mark already.
 */
export abstract class Outbound extends HandlerCalls {
  abstract handle: Handle;
  abstract override state: State;
  abstract settings: StreamSettings;
  protected abstract flags: number;
  protected abstract extras: TransportExtras | undefined;
  /** All that was sent in this life, files apart. */
  #written = 0;

  /** The extras, made if need be. */
  protected abstract more(): TransportExtras;

  abstract adjust(changes: Partial<StreamSettings>): void;

  /** What carries the connection: the reactor's engine, or the driver of one stream. */
  get engine(): StreamEngine {
    return this.home.engine;
  }

  /** Unsent bytes, file bytes apart. */
  outboundSize(): number {
    if (this.handle !== NO_HANDLE) return this.engine.outboundSize(this.handle);
    return this.extras?.opening?.size ?? 0;
  }

  /** Bytes handed to the kernel, file bytes apart. */
  bytesOut(): number {
    return this.#written - this.outboundSize();
  }

  /** Grows with everything the program sends, files too. */
  protected get sent(): number {
    return this.#written + (this.extras?.files?.size ?? 0);
  }

  /** What of it the end of the connection has overtaken, file bytes apart. */
  get unsentAtEnd(): number {
    return this.extras?.unsent ?? 0;
  }

  // Bytes --------------------------------------------------------------------------------------------------------

  sendBytes(data: Uint8Array): boolean {
    if (this.state !== State.open) return this.sendUnopened(data);
    const { engine } = this.home;
    const { handle } = this;
    if (!this.mayWrite(engine.outboundSize(handle))) return false;
    engine.write(handle, data);
    this.#written += data.length;
    return this.belowHighWater(engine.outboundSize(handle));
  }

  sendString(text: string, encoding: BufferEncoding): boolean {
    if (this.state !== State.open) return this.sendUnopened(Buffer.from(text, encoding));
    const { engine } = this.home;
    const { handle } = this;
    if (!this.mayWrite(engine.outboundSize(handle))) return false;
    this.#written += engine.writeString(handle, text, encoding);
    return this.belowHighWater(engine.outboundSize(handle));
  }

  protected mayWrite(unsent: number): boolean {
    if (this.flags & (WRITE_ENDED | UNREAD)) {
      if (this.flags & WRITE_ENDED) throw writeEnded();
      return false;
    }
    if (unsent === 0) {
      if (this.extras !== undefined) this.outputBegins();
      return true;
    }
    if (unsent <= this.settings.outboundLimit) return true;
    this.limitPassed(unsent);
    return false;
  }

  protected limitPassed(unsent: number): void {
    this.end(reasons.outboundLimitPassed(unsent, this.settings.outboundLimit, "connection"));
  }

  /** Output comes behind none: that of a file under way has begun before. */
  protected outputBegins(): void {
    if (!this.isSendingFile) this.extras?.deadlines?.outputBegins();
  }

  protected belowHighWater(unsent: number): boolean {
    const { core, engine } = this.home;
    if (unsent >= this.settings.highWaterMark) {
      if (engine.totalOutbound() > core.outboundLimit) relieve(this.home);
      if (this.state === State.open && (this.flags & AWAITS_DRAIN) === 0) {
        this.flags |= AWAITS_DRAIN;
        engine.awaitWritable(this.handle);
      }
      return false;
    }
    if (unsent > 0 && engine.totalOutbound() > core.outboundLimit) relieve(this.home);
    return true;
  }

  override onWritable(): void {
    if ((this.flags & AWAITS_DRAIN) === 0) return;
    this.flags &= ~AWAITS_DRAIN;
    if (this.state === State.open) this.call(this.receiver.drained);
  }

  /** Has `drained` called when all that was sent is with the kernel: for the owner of an output that has ended. */
  awaitFlushed(): void {
    this.adjust({ lowWaterMark: 0 });
    if (this.flags & AWAITS_DRAIN) return;
    this.flags |= AWAITS_DRAIN;
    if (this.state === State.open) this.engine.awaitWritable(this.handle);
  }

  // Before the connection is open --------------------------------------------------------------------------------

  protected sendUnopened(data: Uint8Array): boolean {
    if (this.state !== State.connecting || this.flags & FINISHING) return false;
    if (this.flags & WRITE_ENDED) throw writeEnded();
    const opening = this.opening();
    if (opening.size > this.settings.outboundLimit) {
      this.limitPassed(opening.size);
      return false;
    }
    opening.add(data);
    this.#written += data.length;
    if (opening.size < this.settings.highWaterMark) return true;
    this.flags |= AWAITS_DRAIN;
    return false;
  }

  /** Does it when the connection is open, in its place among what is sent. Not at all where it is closing. */
  protected whenOpen(action: () => void): void {
    if (this.state === State.open) action();
    else if (this.state === State.connecting) this.opening().addAction(action);
  }

  protected opening(): OpeningQueue {
    const extras = this.more();
    extras.opening ??= new OpeningQueue();
    return extras.opening;
  }

  /** The connection is open: what waited for it leaves. */
  protected sendQueued(opening: OpeningQueue): void {
    const { engine } = this.home;
    const extras = this.more();
    extras.opening = undefined;
    extras.deadlines?.outputBegins();
    opening.run((data) => engine.write(this.handle, data));
    if (this.flags & AWAITS_DRAIN) engine.awaitWritable(this.handle);
  }

  // Files --------------------------------------------------------------------------------------------------------

  /** Sends an open file, after `head` and before `tail` where those are given. */
  sendFile(file: OpenFile, head: string, tail: string): Promise<number> {
    if (head !== "") this.sendString(head, "latin1");
    const sent = this.sendRange(file);
    if (tail !== "") this.sendString(tail, "latin1");
    return sent;
  }

  protected sendRange(file: OpenFile): Promise<number> {
    if (file.size === 0) {
      closeFile(file.fd);
      return Promise.resolve(0);
    }
    const extras = this.more();
    extras.files ??= new FileSends();
    if (this.outboundSize() === 0) this.outputBegins();
    const sent = extras.files.add(file);
    this.whenOpen(() => this.engine.sendFile(this.handle, file.fd, 0, file.size));
    return sent;
  }

  get isSendingFile(): boolean {
    return (this.extras?.files?.size ?? 0) > 0;
  }

  override onFileSent(): void {
    this.extras?.files?.finishOne();
  }

  // Ending -------------------------------------------------------------------------------------------------------

  /** The engine is about to forget the handle, and what of its output it has not sent. */
  protected dropUnsent(): void {
    const unsent = this.engine.outboundSize(this.handle);
    if (unsent === 0) return;
    this.#written -= unsent;
    this.more().unsent = unsent;
  }

  /** The connection has ended: nothing of its output goes out any more. */
  protected outputEnded(extras: TransportExtras, reason: CloseReason): void {
    extras.opening = undefined;
    const message = `the connection closed (${reason.kind}) before the file was sent`;
    extras.files?.fail(this.asEnd(new EventMachineError("ERR_EM_CLOSED", message)));
  }
}

/** The reactor as a whole holds too much unsent output: the largest queues go, until it does not. */
function relieve(home: TransportHome): void {
  const { core, engine } = home;
  const holders = home
    .endpoints()
    .filter((endpoint): endpoint is Outbound => endpoint instanceof Outbound && endpoint.state === State.open)
    .sort((a, b) => b.outboundSize() - a.outboundSize());
  let excess = engine.totalOutbound() - core.outboundLimit;
  for (const holder of holders) {
    if (excess <= 0) return;
    excess -= holder.outboundSize();
    holder.end(reasons.outboundLimitPassed(engine.totalOutbound(), core.outboundLimit, "reactor"));
  }
}
