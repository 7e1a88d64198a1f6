// The parts of stream.cc and stream_io.cc that only they share.
#pragma once

#include "net/stream.h"

namespace em {

// Tells the poller what the connection waits for now. A failure closes it.
void update_interest(Core& core, Slot& slot);
// Moves the pieces of this turn behind what is queued.
void queue_pieces(Core& core, Slot& slot);
// All output is with the kernel: does what was waiting for that.
void output_done(Core& core, Slot& slot);
void check_writable(Core& core, Slot& slot);
// Sends from the slot's own queue until the kernel has enough, and has the poller watch for the rest. Returns whether
// the connection goes on.
bool write_queue(Core& core, Slot& slot, double stamp);
// The same, and then what follows from it.
void send_queue(Core& core, Slot& slot, double stamp);
// Whether what the peer says is being read as it comes.
bool is_reading(const Core& core, const Slot& slot);
// The connection is broken, as a system call has said. What a peer said before it reset the connection may still lie in
// the kernel: where it is being read that goes on to its end, and the connection ends with this error then.
void fail_stream(Core& core, Slot& slot, int32_t error, Syscall syscall);
// What an error or a hang-up means while nothing is read.
void hung_up(Core& core, Slot& slot, uint32_t interest);

}  // namespace em
