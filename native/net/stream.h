// Connections: from the moment they are accepted, connected or adopted until `closed`.
//
// Reading is level-triggered with one `recv` for each readiness, as a plain loop in C does it. The peer's FIN is never
// remembered when it is read: the kernel tells it again for as long as nobody acts on it, so `settle` decides at the
// moment of delivery, when it is known whether the program has paused or written in the meantime.
#pragma once

#include "core/core.h"
#include "net/listener.h"

namespace em {

struct ConnectSettings {
  OptionList options;
  bool half_open = false;
  uint32_t low_water = 0;
  bool has_local = false;
  Address local;
};

// What a descriptor from outside is: an error, where it is no stream socket. It is left open then only if it belongs to
// another handle already, or is no socket at all, for it may belong to somebody else.
struct Adopted {
  int error = 0;
  Syscall syscall = Syscall::none;
  bool internet = false;
};
// Gives it to the slot, where there is no error.
Adopted adopt_descriptor(Core& core, Slot& slot, int fd);

// Each returns the handle, kNoHandle where there is none left. What fails is delivered as `closed`: also an address
// that could not be read, which has the length 0.
int32_t open_stream(Core& core, const Address& address, const ConnectSettings& settings);
int32_t adopt_stream(Core& core, int fd, const ConnectSettings& settings);
// False where there is no handle or memory for it; the descriptor is closed then.
bool stream_accepted(Core& core, Slot& listener, int fd, const Address& peer);

// Rounds.
void stream_ready(Core& core, Slot& slot, uint32_t interest);
void stream_connected(Core& core, Slot& slot);
bool emit_unread(Core& core, Slot& slot);
void flush_stream(Core& core, Slot& slot, double stamp);

// Commands, on a living slot.
bool takes_output(const Slot& slot);
void write_stream(Core& core, Slot& slot, const uint8_t* data, size_t length);
void send_file(Core& core, Slot& slot, int fd, int64_t offset, int64_t length);
void await_writable(Core& core, Slot& slot);
void set_low_water_mark(Core& core, Slot& slot, uint32_t bytes);
void resume_stream(Core& core, Slot& slot);
// The peer's FIN is told as `end` from now on and ends nothing. Without effect once a FIN was acted upon.
void hold_open(Core& core, Slot& slot);
void shutdown_stream(Core& core, Slot& slot);
void finish_stream(Core& core, Slot& slot);
void close_by_command(Core& core, Slot& slot);
void abort_stream(Core& core, Slot& slot);
void detach_stream(Core& core, Slot& slot);
void close_stream(Core& core, Slot& slot, Ended ended, int32_t error, Syscall syscall);

// SO_ERROR is cleared by whoever asks for it: where the program did, this is what makes of it what reading would have
// made. Returns what there is to answer.
int32_t take_error(Core& core, Slot& slot, int32_t error);

// During delivery.
// Takes bytes of an event back, because the connection was paused before they were delivered.
void hold(Core& core, Slot& slot, int32_t offset, int32_t length);
Settled settle(Core& core, Slot& slot);

// Anything with a descriptor.
void save_addresses(Slot& slot);
void drop_descriptor(Core& core, Slot& slot);
// Takes it out of the slot, open as it is, for another owner.
int give_up_descriptor(Core& core, Slot& slot);
// Gives a descriptor the kernel has just made to the slot. Where this fails it is not ours.
bool take_descriptor(Core& core, Slot& slot, int fd);
// Puts it on record as long as the poller does not know it.
void keep_descriptor(Core& core, Slot& slot);
// Takes it, registered as it is, from the poller.
void leave_poller(Core& core, Slot& slot);
// The poller does not take the descriptor. Where that is for another handle having it, it is that one's to close.
void not_polled(Core& core, Slot& slot, int error);

}  // namespace em
