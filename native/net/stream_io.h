// What moves the bytes of a connection, whatever its kind: the poller's interest, the slot's own queue, and input that
// was held back. stream.cc, stream_ends.cc and the kinds share it.
#pragma once

#include "core/core.h"

namespace em {

// Tells the poller what the connection waits for now. A failure closes it.
void update_interest(Core& core, Slot& slot);
// Moves the pieces of this turn behind what is queued.
void queue_pieces(Core& core, Slot& slot);
// Sends from the slot's own queue until the kernel has enough, and has the poller watch for the rest. Returns whether
// the connection goes on.
bool write_queue(Core& core, Slot& slot, double stamp);
// What a kind that stands on a socket does to send pieces, and when nothing follows them: see stream_ops.h.
ssize_t send_to_socket(Core& core, const Slot& slot, iovec* pieces, size_t count);
void end_socket(Core& core, const Slot& slot);
// Reports `writable`, where that was asked for and little enough is unsent.
void check_writable(Core& core, Slot& slot);
// What may be waiting for output to be sent. Where none of it is, which is nearly always, nothing follows upon output.
constexpr uint32_t kAfterOutput = kShutWanted | kDetaching | kPeerFin | kEndDelivered | kWantWritable | kAwaited;
// Output has gone to the kernel, and one of these is set.
void after_output(Core& core, Slot& slot);

}  // namespace em
