// The parts of datagram.cc, datagram_receive.cc and datagram_send.cc that only they share.
#pragma once

#include <string.h>

#include "net/datagram.h"

namespace em {

// Tells the poller what the socket waits for now. A failure closes it.
void update_datagram_interest(Core& core, Slot& slot);
// Reads until the kernel has no more, the quota is used up, or the program has paused.
void receive_datagrams(Core& core, Slot& slot);
// Takes the errors that the kernel keeps for the socket, and puts them into the ring. A bounded number.
void receive_errors(Core& core, Slot& slot);
// Puts held datagrams into the arena and the ring. Returns whether that was all.
bool emit_held(Core& core, Slot& slot);
inline void count_receive_drops(Core& core, DatagramSocket& socket, double number) {
  socket.receive_drops += number;
  core.count(kReceiveDrops, number);
}
// Sends what waits, until the kernel takes no more.
void send_datagram_queue(Core& core, Slot& slot, double stamp);
// JavaScript looks at a name by the word: what lies behind it in the last one is to be zero.
inline void pad_name(void* name, size_t length) {
  if (length % 4 != 0) memset(static_cast<uint8_t*>(name) + length, 0, 4 - length % 4);
}
// A failure for the ring, which has room for it; `name` has the given length.
void emit_failure(Core& core, const Slot& slot, int32_t error, Syscall syscall, const void* name, uint32_t length);
// Whatever waited for all datagrams being with the kernel.
void datagrams_sent(Core& core, Slot& slot);

}  // namespace em
