// Connections: how they open, and what the program asks of one, from the moment it is accepted, connected or adopted
// until `closed`. Their ends are in stream_ends.h, what moves their bytes in stream_io.h, and what differs under TLS in
// stream_ops.h.
//
// Reading is level-triggered with one `recv` for each readiness, as a plain loop in C does it.
#pragma once

#include "core/address.h"
#include "core/core.h"
#include "net/socket.h"
#include "net/stream_ends.h"

namespace em {

struct ConnectSettings {
  OptionList options;
  bool half_open = false;
  uint32_t low_water = 0;
  bool has_local = false;
  Address local;
};

// Each returns the handle, kNoHandle where there is none left. What fails is delivered as `closed`: also an address
// that could not be read, which has the length 0.
int32_t open_stream(Core& core, const Address& address, const ConnectSettings& settings);
int32_t adopt_stream(Core& core, int fd, const ConnectSettings& settings);
// False where there is no handle or memory for it; the descriptor is closed then.
bool stream_accepted(Core& core, Slot& listener, int fd, const Address& peer);

// Rounds.
void stream_ready(Core& core, Slot& slot, uint32_t interest);
void stream_connected(Core& core, Slot& slot);
// False where there is no room in the slab.
bool emit_unread(Core& core, Slot& slot);

// Commands, on a living slot.
void write_stream(Core& core, Slot& slot, const uint8_t* data, size_t length);
void send_file(Core& core, Slot& slot, int fd, int64_t offset, int64_t length);
void await_writable(Core& core, Slot& slot);
void set_low_water_mark(Core& core, Slot& slot, uint32_t bytes);
void resume_stream(Core& core, Slot& slot);

// During delivery.
// Takes bytes of an event back, because the connection was paused before they were delivered.
void hold(Core& core, Slot& slot, int32_t offset, int32_t length);

}  // namespace em
