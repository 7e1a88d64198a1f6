/**
 * The layout of the memory that the native engine shares with JavaScript; native/shared.h states the same numbers.
 */

/** Bytes of output up to which JavaScript copies into the shared memory itself; more goes down in a call. */
export const SMALL_WRITE = 4096;

export const MAX_SLOTS = 2 ** 20;
export const MAX_EVENTS = 4096;
export const MAX_PIECES = 4096;
export const OUT_SLAB_SIZE = 256 * 1024;

const HEADER_SIZE = 4096;
const EVENTS_AT = HEADER_SIZE;
const PIECES_AT = EVENTS_AT + MAX_EVENTS * 16;
const OUTBOUND_AT = PIECES_AT + MAX_PIECES * 16;
const HANDLES_AT = OUTBOUND_AT + MAX_SLOTS * 8;
const FLAGS_AT = HANDLES_AT + MAX_SLOTS * 4;
const CONTROL_SIZE = FLAGS_AT + MAX_SLOTS;

/** Indexes of the header's 32-bit words. */
export const Word = {
  eventCount: 0,
  pieceCount: 1,
  outUsed: 2,
  absorbed: 3,
  ticksWanted: 4,
  addressFamily: 5,
  addressPort: 6,
  eventsRead: 7,
} as const;

/** Indexes of the header's doubles. */
export const Figure = {
  deadline: 8,
  totalOutbound: 9,
  accepted: 10,
  connected: 11,
  bytesIn: 12,
  bytesOut: 13,
  events: 14,
  batches: 15,
  systemCalls: 16,
  dropped: 17,
  /** What had come by then has been read; milliseconds of the addon's clock. */
  seenAt: 18,
  spins: 19,
} as const;

/** Bits of a handle's flag byte. */
export const Flag = {
  paused: 1,
  /** The engine stopped reading, or holds bytes back: `resume` has to be called. */
  needsResume: 2,
  /** No input and no `writable` may follow. */
  muted: 4,
  /** Output has ended. */
  noWrite: 8,
  /** Nothing at all but `closed` may follow, not even `fileSent`. */
  silent: 16,
} as const;

/** The low byte of an event's first word. */
export const Kind = {
  listening: 1,
  accepted: 2,
  acceptedOther: 3,
  connected: 4,
  data: 5,
  fin: 6,
  writable: 7,
  fileSent: 8,
  closed: 9,
  timer: 10,
  secured: 11,
  tlsServerName: 12,
  tlsVerify: 13,
  tlsSession: 14,
  tlsKeyLog: 15,
} as const;

/** What `settle` answers. */
export const Settled = { nothing: 0, closedByPeer: 1, closedHere: 2, end: 3 } as const;

/** The system calls a `closed` can name, by number. */
export const SYSCALLS: readonly string[] = [
  "",
  "socket",
  "bind",
  "listen",
  "connect",
  "read",
  "write",
  "accept",
  "sendfile",
  "setsockopt",
  "getsockopt",
  "epoll_ctl",
  "fcntl",
  "epoll_wait",
  "fchmod",
  "chmod",
];

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
  if (control.byteLength !== CONTROL_SIZE) {
    throw new Error(`the native engine shares ${control.byteLength} bytes, this package expects ${CONTROL_SIZE}`);
  }
  return {
    words: new Int32Array(control, 0, 16),
    figures: new Float64Array(control, 0, HEADER_SIZE / 8),
    events: new Int32Array(control, EVENTS_AT, MAX_EVENTS * 4),
    pieces: new Int32Array(control, PIECES_AT, MAX_PIECES * 4),
    outbound: new Float64Array(control, OUTBOUND_AT, MAX_SLOTS),
    handles: new Int32Array(control, HANDLES_AT, MAX_SLOTS),
    flags: new Uint8Array(control, FLAGS_AT, MAX_SLOTS),
  };
}
