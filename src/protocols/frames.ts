import { describe } from "../base/addresses.js";
import { checkBoolean, checkInteger } from "../base/checks.js";
import { markPeer } from "../base/error_marks.js";
import { ArgumentError, EventMachineError, LimitError } from "../base/errors.js";
import { type Cutter, ItemReader } from "../base/item_reader.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { MAX_BINARY_LENGTH } from "../base/limits.js";
import { checkSource } from "./lines.js";

/** How `frame` and `frames` lay a length before what it counts. */
export interface FramesOptions {
  /** How many bytes the length takes: 1, 2 or 4. Default 4, as in EventMachine's ObjectProtocol. */
  headerSize?: 1 | 2 | 4;
  /** The order of its bytes. Default big-endian, the network's. */
  littleEndian?: boolean;
  /** The longest frame in bytes, without its header. Default 32 MiB. */
  maxFrameLength?: number;
}

const OPTIONS: Names<FramesOptions> = { headerSize: true, littleEndian: true, maxFrameLength: true };

/**
 * `for await (const frame of frames(connection))`: frames that begin with their length, from a connection or any async
 * iterable of bytes. A frame is the receiver's own; no more than one frame and what came with its end is held. Leaving the
 * loop early leaves the source's loop: a connection then closes after writing. `frame` puts the header before what is
 * sent.
 *
 * Throws ArgumentError for bad options; the loop throws LimitError `ERR_EM_FRAME_TOO_LONG` for a frame over the limit,
 * `ERR_EM_FRAME_TRUNCATED` where the source ends inside one, and what the source fails with.
 *
 * ```ts
 * connection.sendData(frame(Buffer.from("hello"), { headerSize: 2 }));
 * for await (const answer of frames(connection, { headerSize: 2 })) console.log(String(answer));
 * ```
 */
export function frames(
  source: AsyncIterable<Uint8Array>,
  options: FramesOptions = {},
): AsyncGenerator<Buffer, undefined, undefined> {
  checkSource(source);
  const layout = checkFrames(options);
  return new ItemReader(source, new FrameCutter(layout));
}

/** A frame as `frames` reads it: the length, then the bytes. One copy. Throws like `frames`. */
export function frame(data: Uint8Array, options: FramesOptions = {}): Buffer {
  const layout = checkFrames(options);
  if (!(data instanceof Uint8Array))
    throw new ArgumentError(`data must be a Buffer or Uint8Array, not ${describe(data)}`);
  if (data.length > layout.most) throw tooLong(data.length, layout.most);
  const framed = Buffer.allocUnsafe(layout.header + data.length);
  if (layout.little) framed.writeUIntLE(data.length, 0, layout.header);
  else framed.writeUIntBE(data.length, 0, layout.header);
  framed.set(data, layout.header);
  return framed;
}

interface Layout {
  readonly header: number;
  readonly little: boolean;
  readonly most: number;
}

function checkFrames(options: FramesOptions): Layout {
  checkOptions(options, OPTIONS);
  const { headerSize = 4, littleEndian = false, maxFrameLength } = options;
  if (headerSize !== 1 && headerSize !== 2 && headerSize !== 4) {
    throw new ArgumentError(`headerSize must be 1, 2 or 4, not ${describe(headerSize)}`);
  }
  checkBoolean(littleEndian, "littleEndian");
  const largest = 2 ** (8 * headerSize) - 1;
  const most = maxFrameLength ?? Math.min(MAX_BINARY_LENGTH, largest);
  checkInteger(most, "maxFrameLength", 0, largest);
  return { header: headerSize, little: littleEndian, most };
}

/** Cuts frames out of bytes in any pieces. */
class FrameCutter implements Cutter<Uint8Array, Buffer> {
  readonly #layout: Layout;
  #chunks: Buffer[] = [];
  /** Bytes held, and read of the first chunk. */
  #held = 0;
  #offset = 0;
  /** The length of the frame under way, when its header is here. */
  #length: number | undefined;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  feed(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    this.#held += chunk.length;
  }

  next(): Buffer | undefined {
    const { header, little, most } = this.#layout;
    if (this.#length === undefined) {
      if (this.#held < header) return undefined;
      this.#length = this.#takeLength(header, little);
      if (this.#length > most) throw markPeer(tooLong(this.#length, most));
    }
    if (this.#held < this.#length) return undefined;
    const frame = this.#take(this.#length);
    this.#length = undefined;
    return frame;
  }

  #takeLength(header: number, little: boolean): number {
    const first = this.#chunks[0] as Buffer;
    const at = this.#offset;
    // Where a part of it lies in the next chunk, or a chunk ends with it, the slow way takes care of that.
    if (first.length - at <= header) {
      const bytes = this.#take(header);
      return little ? bytes.readUIntLE(0, header) : bytes.readUIntBE(0, header);
    }
    this.#offset += header;
    this.#held -= header;
    return little ? first.readUIntLE(at, header) : first.readUIntBE(at, header);
  }

  rest(): undefined {
    if (this.#held === 0 && this.#length === undefined) return undefined;
    throw markPeer(new EventMachineError("ERR_EM_FRAME_TRUNCATED", "the stream ended before the frame it had begun"));
  }

  #take(size: number): Buffer {
    const taken = Buffer.allocUnsafe(size);
    let at = 0;
    let used = 0;
    while (at < size) {
      const chunk = this.#chunks[used] as Buffer;
      const from = this.#offset;
      const copied = chunk.copy(taken, at, from, Math.min(chunk.length, from + size - at));
      at += copied;
      this.#offset += copied;
      if (this.#offset === chunk.length) {
        this.#offset = 0;
        used++;
      }
    }
    if (used > 0) this.#chunks = this.#chunks.slice(used);
    this.#held -= size;
    return taken;
  }
}

function tooLong(length: number, most: number): LimitError {
  return new LimitError("ERR_EM_FRAME_TOO_LONG", `a frame of ${length} bytes is over the limit of ${most}`, most);
}
