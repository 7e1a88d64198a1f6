// How a connection ends, and all of it: each step is a function of stream_ends.cc, and the bits of an end are set there
// and nowhere else. What differs under TLS are the last five entries of stream_ops.h.
//
// The two directions end on their own, and the connection is closed when both have.
//
//   Ours      open ── shutdown, finish ──> kShutWanted ── output_done: all is with the kernel ──> kShutDone
//
//   The peer's    open ── peer_ended ──> `fin` in the ring ── settle ──┬─> kEndDelivered   half-open: the program is
//   told
//                   │                                                  ├─> kPeerFin        our output goes first
//                   │                                                  └─> closed          nothing is left to send
//                   └── peer_ended, while kFinishing ──> kPeerFin
//
// The peer's FIN is not remembered when it is read: `settle` decides at the moment of delivery, when it is known
// whether the program has paused or written in the meantime.
//
// Over these lie the ways to be rid of a connection:
//
//   kFinishing   finish: input is discarded, closed when both directions have ended.
//   kDetaching   detach: nothing is read, closed without its descriptor when all output is with the kernel.
//   kFailed      fail_stream: the kernel takes nothing more, but what the peer said before it went is still being read;
//                closed with the error when that is at its end.
//   kParked      hung_up: gone, and nobody reads or writes. The poller, which would report it for ever, does not know
//                the descriptor until somebody does.
//   closed       close_stream: only `closed` follows, and before it `fileSent`.
//
// Who comes from where: shutdown, finish and detach from an open connection that is not closing (kMuted) yet; finish
// also from one that is shut or failed; close and abort from everywhere. A connection that is still connecting knows
// none of the steps: finish and detach close it.
#pragma once

#include "core/core.h"

namespace em {

// Commands, on a living slot.
// The peer's FIN is told as `end` from now on and ends nothing. Without effect once a FIN was acted upon.
void hold_open(Core& core, Slot& slot);
void shutdown_stream(Core& core, Slot& slot);
void finish_stream(Core& core, Slot& slot);
void detach_stream(Core& core, Slot& slot);
void close_by_command(Core& core, Slot& slot);
void abort_stream(Core& core, Slot& slot);

// During delivery: what the `fin` in the ring means now.
Settled settle(Core& core, Slot& slot);

// Rounds.
// The peer's end has been read.
void peer_ended(Core& core, Slot& slot);
// Reading has failed. The reason is that of the failed write, where there was one.
void read_failed(Core& core, Slot& slot, int32_t error);
// The connection is broken, as a system call has said. What a peer said before it reset the connection may still lie in
// the kernel: where it is being read that goes on to its end, and the connection ends with this error then.
void fail_stream(Core& core, Slot& slot, int32_t error, Syscall syscall);
// What an error or a hang-up means while nothing is read.
void hung_up(Core& core, Slot& slot, uint32_t interest);
// SO_ERROR is cleared by whoever asks for it: where the program did, this is what makes of it what reading would have
// made. Returns what there is to answer.
int32_t take_error(Core& core, Slot& slot, int32_t error);
void close_stream(Core& core, Slot& slot, Ended ended, int32_t error, Syscall syscall);

// All output is with the kernel: does what was waiting for that.
void output_done(Core& core, Slot& slot);
bool has_output(const Slot& slot);
// Whether what the peer says is being read as it comes.
bool is_reading(const Core& core, const Slot& slot);

}  // namespace em
