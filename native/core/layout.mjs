// What the native core and JavaScript have in common: the memory they share, and the numbers that travel in calls. This is
// the one definition of it. scripts/make_layout.mjs writes both sides from it, native/core/layout.h and
// src/engine/native/layout.ts; an addon that was built from another one is refused when it is loaded. What holds on every
// engine goes to src/base/quotas.ts.

export const constants = [
  ["indexBits", 20, "The low bits of a handle that are its slot's index; the generation stands above them."],
  ["maxSlots", 2 ** 20, ""],
  ["maxEvents", 4096, "Events in the ring, of four 32-bit words each."],
  ["maxPieces", 4096, "Pieces of output, of four 32-bit words each: handle, offset, length, and one unused."],
  ["eventSlabSize", 512 * 1024, "Bytes read, lent to JavaScript for one batch."],
  ["outSlabSize", 256 * 1024, "Bytes written by JavaScript, until the flush."],
];

// What one connection may have of a turn, on every engine: limits that docs/limits.md lists.
export const quotas = [
  ["readQuota", 64 * 1024, "The most bytes read from one connection in one turn."],
  ["fileQuota", 256 * 1024, "The most file bytes sent to one connection in one turn."],
  ["filePart", 128 * 1024, "The most of a file in memory, where the kernel does not send it by itself."],
];

// The control block, in this order: name, element, and how many of them.
export const tables = [
  ["header", "float64", 512, "Words and figures."],
  ["events", "int32", 4096 * 4, ""],
  ["pieces", "int32", 4096 * 4, ""],
  ["outbound", "float64", 2 ** 20, "By slot: bytes queued."],
  ["handles", "int32", 2 ** 20, "By slot: the living handle."],
  ["flags", "uint8", 2 ** 20, "By slot."],
];

// `first`: the number of the first value. `bits`: each value is a bit. `scoped`: an enum class in C++.
export const enums = [
  {
    name: "Word",
    base: "uint32_t",
    doc: "Indexes of the header's 32-bit words.",
    values: [
      ["eventCount", "Events in the ring."],
      ["pieceCount", "Pieces in the out ring."],
      ["outUsed", "Bytes in the out slab."],
      ["absorbed", "Pieces the core has taken over: JavaScript may extend none of them."],
      ["ticksWanted", "JavaScript asked for `ticks`."],
      ["addressFamily", ""],
      ["addressPort", ""],
      ["eventsRead", "Events JavaScript has begun to deliver."],
    ],
  },
  {
    name: "Figure",
    base: "uint32_t",
    first: 8,
    doc: "Indexes of the header's doubles, which begin behind the words.",
    values: [
      ["deadline", "Milliseconds of CLOCK_MONOTONIC."],
      ["totalOutbound", ""],
      ["accepted", ""],
      ["connected", ""],
      ["bytesIn", ""],
      ["bytesOut", ""],
      ["events", ""],
      ["batches", ""],
      ["systemCalls", ""],
      ["seenAt", "What had come by then has been read; milliseconds of CLOCK_MONOTONIC."],
      ["spins", "Handles that were ended because they were ready for ever, with nothing to do."],
    ],
  },
  {
    name: "Flag",
    base: "uint8_t",
    bits: true,
    doc: "Bits of a handle's flag byte.",
    values: [
      ["paused", ""],
      ["needsResume", "The core stopped reading, or holds bytes: `resume` has to be called."],
      ["muted", "No input and no `writable` may follow."],
      ["noWrite", "Output has ended."],
      ["silent", "Nothing but `closed` may follow, not even `fileSent`."],
    ],
  },
  {
    name: "Event",
    base: "int32_t",
    scoped: true,
    first: 1,
    doc: "The low byte of an event's first word.",
    values: [
      ["listening", ""],
      ["accepted", "| port << 16, handle, listener, IPv4 address."],
      ["acceptedOther", "The peer's address has to be asked for."],
      ["connected", ""],
      ["data", "Handle, offset, length."],
      ["fin", "The peer's FIN was read; `settle` decides what it means at the moment of delivery."],
      ["writable", ""],
      ["fileSent", ""],
      ["closed", "| ended << 8 | syscall << 16, handle, errno."],
      ["timer", ""],
      ["secured", ""],
      ["tlsServerName", "Handle, offset, length; so are the next three."],
      ["tlsVerify", ""],
      ["tlsSession", ""],
      ["tlsKeyLog", ""],
    ],
  },
  {
    name: "Ended",
    base: "uint8_t",
    scoped: true,
    doc: "How a handle ended: the engine contract's numbers (src/engine/streams.ts).",
    values: [
      ["local", ""],
      ["peer", ""],
      ["error", ""],
      ["detached", ""],
      ["fileTruncated", ""],
      ["tls", ""],
    ],
  },
  {
    name: "Syscall",
    base: "uint8_t",
    scoped: true,
    doc: "The system calls a `closed` can name.",
    values: [
      ["none", ""],
      ["socket", ""],
      ["bind", ""],
      ["listen", ""],
      ["connect", ""],
      ["read", ""],
      ["write", ""],
      ["accept", ""],
      ["sendfile", ""],
      ["setsockopt", ""],
      ["getsockopt", ""],
      ["epoll_ctl", ""],
      ["fcntl", ""],
      ["epoll_wait", ""],
      ["fchmod", ""],
      ["chmod", ""],
    ],
  },
  {
    name: "Settled",
    base: "int32_t",
    scoped: true,
    doc: "What `settle` answers.",
    values: [
      ["nothing", ""],
      ["closedByPeer", ""],
      ["closedHere", ""],
      ["end", ""],
    ],
  },
  {
    name: "Family",
    base: "int32_t",
    doc: "The kind of an address.",
    values: [
      ["noFamily", ""],
      ["unix", "", 1],
      ["ipv4", "", 4],
      ["ipv6", "", 6],
    ],
  },
  {
    name: "ListenFlag",
    base: "uint32_t",
    bits: true,
    prefix: "listen",
    doc: "Of `listen` and `adoptListener`.",
    values: [
      ["reusePort", ""],
      ["ipv6Only", ""],
      ["halfOpen", ""],
      ["closeWhenFull", ""],
    ],
  },
  {
    name: "StartFlag",
    base: "uint32_t",
    bits: true,
    prefix: "start",
    doc: "Of `startTls`.",
    values: [
      ["server", ""],
      ["asksServerName", ""],
      ["asksVerify", ""],
    ],
  },
  {
    name: "NameAnswer",
    base: "int32_t",
    scoped: true,
    doc: "What `answerServerName` is told: go on with the listener's context, refuse, or go on with another.",
    values: [
      ["same", ""],
      ["refuse", ""],
      ["other", ""],
    ],
  },
  {
    name: "TlsError",
    base: "uint8_t",
    scoped: true,
    doc: "What `tlsFailure` answers first.",
    values: [
      ["handshake", ""],
      ["verify", ""],
      ["protocol", ""],
      ["plaintext", ""],
      ["noContext", ""],
    ],
  },
];
