// Relays: what one connection receives goes to another's output, and the program never sees it.
//
// A relay goes one way. Its source is a connection with kRelays, its target one with kRelayed; a connection may be the
// source of one and the target of another, which is how two of them make a proxied pair. Bytes that are on their way
// lie in the target's own queue, at most so many as the relay was given; while there are more the source is not read.
//
// In clear on both sides and in bulk, the bytes do not come to user space: they are spliced through a pipe, which a
// relay holds only while there are bytes in it, or while bulk goes on. kPiped says that there are, and that the target
// waits for the kernel to take them.
//
// A relay is over when its length has passed (`relayed` in the ring), when it is stopped, or when either side is
// closed. What it has taken from the source by then is the target's: bytes in the pipe move into the target's queue.
// The peer's end is reported as that of any connection, once all that came before it is on its way.
#pragma once

#include "core/core.h"

namespace em {

// From here on. Both are open, and nothing that `from` has received waits for the program. False where that is not so,
// where either takes part in a relay in the same role already, or where the kind of one cannot.
bool start_relay(Core& core, Slot& from, Slot& to, uint32_t most, double length);
// What comes in goes to the program again. Without effect on a connection that is no source.
void stop_relay(Core& core, Slot& from);
// Bytes taken from `from` by the relay that it is, or last was, the source of; also while `closed` is delivered.
double relayed_bytes(const Core& core, const Slot& from);

// Called by the kinds of connections ----------------------------------------------------------------------------------

// A source in clear is ready.
void relay_ready(Core& core, Slot& from);
// How much of a source may be read now. Where it is 0 it is not read any more until the target has room.
size_t relay_room(Core& core, Slot& from);
// Passes on what was read of a source, up to the relay's length; returns how much that is. Either side may be closed.
size_t pass_on(Core& core, Slot& from, const uint8_t* data, size_t length);
// The kernel takes output of a target with kPiped.
void send_piped(Core& core, Slot& to);
// What is in the pipe moves into the target's queue: something else is about to follow it.
void unsplice(Core& core, Slot& to);
// Output of a target with kAwaited has gone to the kernel.
void relay_drained(Core& core, Slot& to);
// Called by stream_ends.cc: the slot is closed, and has its queue still.
void leave_relays(Core& core, Slot& slot);
// The handle of one with kHasRelay is about to be free.
void forget_relay(Core& core, const Slot& from);

}  // namespace em
