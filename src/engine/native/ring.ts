import { Ended } from "../streams.js";
import * as layout from "./layout.js";

/** Bytes of output up to which JavaScript copies into the shared memory itself; more goes down in a call. */
export const SMALL_WRITE = 4096;

/** The contract's numbers are those the core writes. */
export const ENDED: typeof layout.Ended = Ended;

/** The system calls a `closed` can name, by number. */
export const SYSCALLS: readonly string[] = ["", ...Object.keys(layout.Syscall).slice(1)];

/** The views over the shared memory that is not lent to anybody. */
export interface SharedViews {
  readonly words: Int32Array;
  readonly figures: Float64Array;
  /** Events, four words each. */
  readonly events: Int32Array;
  /** Pieces of output, four words each: handle, offset, length, and one unused. */
  readonly pieces: Int32Array;
  /** By handle index: bytes queued, the living handle, flags. */
  readonly outbound: Float64Array;
  readonly handles: Int32Array;
  readonly flags: Uint8Array;
}

export function viewShared(control: ArrayBuffer): SharedViews {
  if (control.byteLength !== layout.CONTROL_SIZE) {
    throw new Error(
      `the native engine shares ${control.byteLength} bytes, this package expects ${layout.CONTROL_SIZE}`,
    );
  }
  return {
    words: new Int32Array(control, 0, layout.Figure.deadline * 2),
    figures: new Float64Array(control, 0, layout.EVENTS_AT / 8),
    events: new Int32Array(control, layout.EVENTS_AT, layout.MAX_EVENTS * 4),
    pieces: new Int32Array(control, layout.PIECES_AT, layout.MAX_PIECES * 4),
    outbound: new Float64Array(control, layout.OUTBOUND_AT, layout.MAX_SLOTS),
    handles: new Int32Array(control, layout.HANDLES_AT, layout.MAX_SLOTS),
    flags: new Uint8Array(control, layout.FLAGS_AT, layout.MAX_SLOTS),
  };
}
