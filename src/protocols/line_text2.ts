import type { CloseReason } from "../base/close_reason.js";
import type { LimitError } from "../base/errors.js";
import { Connection } from "../connection/connection.js";
import { State, type StreamPort } from "../core/stream_port.js";
import type { ConnectAddress } from "../options/options.js";
import { TlsContext } from "../tls/tls_context.js";
import type { TlsStartOptions } from "../tls/tls_start.js";
import { LineCodec, type LineEvents, type LineOptions } from "./line_codec.js";
import type { DelimiterPattern } from "./line_delimiter.js";

/**
 * A connection that talks in lines, with binary data between them (EventMachine::Protocols::LineText2): extend it and
 * override `receiveLine`.
 *
 * The callbacks are callbacks of the connection like `receiveData`: they may be async, and what they throw goes to
 * `onError`; where that returns true, the next line follows. After `pause` and after any close no further line is
 * delivered, also of those that came in the same piece; `resume` delivers them in a later turn.
 *
 * A line longer than `maxLineLength` is an error of that kind too: LimitError `ERR_EM_LINE_TOO_LONG` goes to `onError`,
 * and the connection closes (reason `handler-error`) unless that returns true; the line is then dropped as a whole, and
 * reading goes on after it. (EventMachine enforced no limits.)
 *
 * Where it differs from the original on purpose: a delimiter of several bytes may be cut by the network; setting the mode
 * or the delimiter while a line is half there reads that half anew instead of losing it; `unfinished` tells what has come
 * of a line or block that was never completed.
 *
 * ```ts
 * class Shout extends LineText2 {
 *   override receiveLine(line: string) {
 *     this.sendData(`${line.toUpperCase()}\n`);
 *   }
 * }
 * await startServer({ host: "127.0.0.1", port: 0 }, Shout);
 * ```
 */
export class LineText2 extends Connection {
  static override readonly borrowsData: boolean = true;

  readonly #codec: LineCodec;
  /** `resume` was called, and lines that came before it are delivered first: the connection is still paused. */
  #catchingUp = false;

  /** Throws ArgumentError for options it cannot take. */
  constructor(options: LineOptions = {}) {
    super();
    this.#codec = new Delivery(this, options).codec;
  }

  // Callbacks ----------------------------------------------------------------------------------------------------

  /** A line came in; it is given without its delimiter, and with delimiter "\n" without a carriage return before that. */
  receiveLine(_line: string): unknown {
    return undefined;
  }

  /** Binary data came in: a whole sized block, or without a size whatever there was. The bytes are yours for ever. */
  receiveBinaryData(_data: Buffer): unknown {
    return undefined;
  }

  /** A sized block is complete; lines follow, unless `receiveBinaryData` has set a mode. */
  receiveEndOfBinaryData(): unknown {
    return undefined;
  }

  /**
   * Gives what has come of a sized block to `receiveBinaryData`, without the `receiveEndOfBinaryData` that follows a whole
   * one. An override that does not call this can find those bytes in `unfinished`, as it can the part of a line.
   */
  override unbind(_reason: CloseReason): unknown {
    const block = this.#codec.unfinishedBlock();
    return block.length > 0 ? this.receiveBinaryData(block) : undefined;
  }

  // Settings -----------------------------------------------------------------------------------------------------

  /** Sets what ends a line from the next byte on: see `LineOptions`. Throws ArgumentError. (set_delimiter.) */
  setDelimiter(delimiter: DelimiterPattern): void {
    this.#living().setDelimiter(delimiter);
  }

  /**
   * Reads lines from the next byte on; `thrownBack` is read first, before what has come in and was not delivered. Outside
   * of a callback, lines that are complete by that are delivered before this returns. (set_line_mode.)
   */
  setLineMode(thrownBack: Uint8Array | string = ""): void {
    this.#living().setLineMode(thrownBack);
  }

  /**
   * Reads `size` bytes as one block and then lines again; without a size everything is binary until another mode is set.
   * 0 is line mode, without a callback. (set_binary_mode.)
   *
   * Throws ArgumentError for no size, LimitError `ERR_EM_BINARY_TOO_LONG` for more than `maxBinaryLength`.
   */
  setBinaryMode(size?: number): void {
    this.#living().setBinaryMode(size);
  }

  /** Another name of `setBinaryMode`. (set_text_mode.) */
  setTextMode(size?: number): void {
    this.#living().setBinaryMode(size);
  }

  /** The longest line in bytes, without its delimiter; default 64 KiB. */
  get maxLineLength(): number {
    return this.#codec.maxLineLength;
  }
  set maxLineLength(bytes: number) {
    this.#codec.maxLineLength = bytes;
  }

  /** The longest sized block in bytes; default 32 MiB. (MaxBinaryLength.) */
  get maxBinaryLength(): number {
    return this.#codec.maxBinaryLength;
  }
  set maxBinaryLength(bytes: number) {
    this.#codec.maxBinaryLength = bytes;
  }

  /** A copy of what came in and was not delivered: the begun line or block, and the lines that a pause holds back. */
  get unfinished(): Buffer {
    return this.#codec.unfinished();
  }

  /** The codec for a setting that may complete lines: on a closed connection those stay where they are. */
  #living(): LineCodec {
    const { state } = this;
    if (state === "closing" || state === "closed") this.#codec.stop();
    return this.#codec;
  }

  // What a connection does, with lines ---------------------------------------------------------------------------

  override receiveData(data: Buffer): unknown {
    this.#codec.feed(data);
    return undefined;
  }

  /** Whether it is paused. While lines that came before a `resume` are still being delivered it is not. */
  override get isPaused(): boolean {
    return super.isPaused && !this.#catchingUp;
  }

  override pause(): void {
    super.pause();
    this.#catchingUp = false;
    this.#codec.stop();
  }

  override resume(): void {
    if (this.#catchingUp || !super.isPaused) return;
    if (!this.#codec.isBehind) {
      this.#codec.resume();
      super.resume();
      return;
    }
    this.#catchingUp = true;
    const port = Connection.portOf(this);
    port.ownTick({
      onTick: () => {
        if (this.#catchingUp && port.state === State.open) port.call(this.#catchUp);
      },
    });
  }

  #catchUp(): void {
    this.#codec.resume();
    if (!this.#catchingUp) return;
    this.#catchingUp = false;
    super.resume();
  }

  /**
   * Begins TLS after the line that was delivered last (STARTTLS). What came in after that line came in clear: it ends the
   * connection (`ERR_EM_TLS_PLAINTEXT`), and is never read as if it were protected. Where the protocol wants those bytes to be
   * TLS's already, pass them on: `startTls({ received: this.unfinished })`.
   */
  override startTls(tls: TlsContext | TlsStartOptions = {}): void {
    const left = this.#codec.heldBytes;
    super.startTls(tls);
    if (left === 0) return;
    const isPassedOn = !(tls instanceof TlsContext) && tls.received !== undefined;
    if (isPassedOn) this.#codec.reset();
    else Connection.portOf(this).refusePlaintext(left);
  }

  /** A new life begins with lines and without the rest of the old one's; delimiter and limits stay. */
  override reconnect(address: ConnectAddress): boolean {
    if (!super.reconnect(address)) return false;
    this.#catchingUp = false;
    this.#codec.reset();
    return true;
  }
}

/** Calls the connection's callbacks as its port calls them. */
class Delivery implements LineEvents {
  readonly codec: LineCodec;
  readonly #connection: LineText2;

  constructor(connection: LineText2, options: LineOptions) {
    this.#connection = connection;
    this.codec = new LineCodec(this, options);
  }

  line(text: string): void {
    const connection = this.#connection;
    const port = Connection.portOf(connection);
    port.call(connection.receiveLine, text);
    this.#look(port);
  }

  binaryData(data: Buffer): void {
    const connection = this.#connection;
    const port = Connection.portOf(connection);
    port.call(connection.receiveBinaryData, data);
    this.#look(port);
  }

  endOfBinaryData(): void {
    const connection = this.#connection;
    const port = Connection.portOf(connection);
    if (port.state >= State.closing) return;
    port.call(connection.receiveEndOfBinaryData);
    this.#look(port);
  }

  lineTooLong(error: LimitError): void {
    const port = Connection.portOf(this.#connection);
    port.handlerFailed(error);
    this.#look(port);
  }

  /** After a close nothing is delivered any more. */
  #look(port: StreamPort): void {
    if (port.state >= State.closing) this.codec.stop();
  }
}
