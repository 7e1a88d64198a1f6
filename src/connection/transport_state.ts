// What is true of one life of a connection beside its state, as bits of one number: many connections are idle, and every field of theirs is memory.

export const PAUSED = 1;
/** The handler takes views of the engine's memory. */
export const BORROWS = 2;
/** `drained` is owed. */
export const AWAITS_DRAIN = 4;
export const WRITE_ENDED = 8;
/** To be closed when all is sent. */
export const FINISHING = 16;
/** The engine has to be asked for an address, before the kernel forgets it. */
export const LIVE_ADDRESS = 32;
/** The low-water mark was set before there was a handle to tell the engine of. */
export const MARKS_CHANGED = 64;
/** `receiveEnd` was called: the peer sends nothing more. */
export const PEER_ENDED = 256;
/** The program has ended it, and its `unbind` waits in the tick queue. */
export const END_DUE = 512;
/** What it receives goes to another connection. */
export const PASSING = 4096;
/** What it sends comes from another connection, and from nobody else. */
export const FED = 2048;
/** Paused from the start, for want of a handler that takes what comes in. */
export const UNTAKEN = 65536;
/** Held open by a relay alone: without it the peer's FIN means what the settings say. */
export const RELAY_HELD = 32768;
/** Half-open in the engine: somebody has claimed the connection, and decides what the peer's FIN means. */
export const HELD_OPEN = 128;
/** Nobody reads what is sent: a child process has closed its standard input. */
export const UNREAD = 1024;
/** The descriptor it was attached to can only be read. */
export const READ_ONLY = 8192;
/** The descriptor it was attached to can only be written: its one direction ends with it. */
export const WRITE_ONLY = 16384;
