// Datagram sockets: UDP over IPv4 and IPv6, and Unix datagrams.
//
// A datagram arrives and leaves whole, or not at all, and nothing that becomes of one ends its socket. What can be said
// of one that did not leave, the errors that routers and peers answer with among it, is delivered as `sendFailed`.
//
// Input goes from the kernel into the places of an arena, many datagrams by one system call (datagram_receive.cc);
// output from the ring that streams use, many by one call too (datagram_send.cc).
#pragma once

#include <sys/socket.h>

#include <memory>
#include <vector>

#include "core/address.h"
#include "core/core.h"
#include "net/datagram_queue.h"
#include "net/socket_file.h"

namespace em {

struct DatagramSettings {
  uint32_t flags = 0;                           // of DatagramFlag
  int32_t receive_buffer = 0, send_buffer = 0;  // 0 for the system's
  int32_t mtu_discovery = -1;                   // IP_PMTUDISC_DONT to _PROBE; -1 for the system's
  uint32_t send_limit = 0;
  bool has_remote = false;
  Address remote;
  const char* file = "";  // the absolute path of a Unix address that is one; empty for others
  int32_t mode = -1;      // of that file; -1 for what the umask leaves
};

struct SendFailure {
  int32_t error;
  Syscall syscall;
  uint32_t name_length;
  uint8_t name[kNameRoom];
};

// What a slot has beside it. An idle socket has nothing else.
struct DatagramSocket {
  int family = 0;
  bool connected = false;
  bool polls_out = false;              // what waits goes when the poller says so; otherwise by the clock
  bool retries = false;                // listed with those that wait for the clock
  bool takes_large = false;            // what came last was large: the next batch is of fewer
  uint32_t most_segment = UINT16_MAX;  // what is longer the kernel does not segment; 0: nothing
  double segments_again_at = kNever;   // when a lower bound is forgotten: paths and devices change
  uint32_t send_limit = 0;
  uint32_t kernel_drops = 0;  // by the kernel's own count, which wraps
  DatagramQueue queue;
  std::unique_ptr<PeerQueues> peer_queues;  // while something waits, in place of the queue: see waits_by_peer
  std::vector<uint8_t> held;                // received, and not delivered because the socket was paused in between
  std::vector<SendFailure> failures;
  std::unique_ptr<SocketFile> file;
  double received = 0, sent = 0, bytes_sent = 0, dropped = 0, receive_drops = 0;

  // Whether the kernel refuses by receiver, so that those who have room need not wait for those who have none.
  bool waits_by_peer() const { return family == AF_UNIX && !connected; }
  bool waits() const { return !queue.empty() || peer_queues != nullptr; }
  bool waits_for(const Datagram& datagram) const {
    return !queue.empty() || (peer_queues != nullptr && peer_queues->has(datagram));
  }
  size_t waiting_size() const { return queue.size() + (peer_queues == nullptr ? 0 : peer_queues->size()); }
  void drop_waiting(Live& live) {
    queue.clear(live);
    if (peer_queues != nullptr) peer_queues->clear(live);
    peer_queues = nullptr;
  }
};

// The handle, kNoHandle where there is none left. What fails is delivered as `closed`: also an address that could not
// be read, which has the length 0. A Unix address without a name is not bound.
int32_t open_datagrams(Core& core, const Address& address, const DatagramSettings& settings);
void close_datagrams(Core& core, Slot& slot, Ended ended, int32_t error, Syscall syscall);
// Frees what the slot has of a datagram socket, where it is one.
void delete_datagrams(Core& core, Slot& slot);

// Counts what the kernel has dropped since it was last asked.
void count_drops(Core& core, Slot& slot);

// Rounds.
void datagrams_ready(Core& core, Slot& slot, uint32_t interest);
// Delivers what is due of `listening`, held datagrams and failures. Returns whether all of it found room.
bool datagrams_due(Core& core, Slot& slot);
void flush_datagrams(Core& core, Slot& slot, double stamp);
// A socket that the kernel had no memory for tries again.
void retry_datagrams(Core& core, Slot& slot);

// Commands, on a living slot.
// After all that was sent to its peer before it; the bytes are counted as unsent.
void send_datagram(Core& core, Slot& slot, const Datagram& datagram);
void finish_datagrams(Core& core, Slot& slot);
void close_datagrams_by_command(Core& core, Slot& slot);
void await_datagrams_sent(Core& core, Slot& slot);
void resume_datagrams(Core& core, Slot& slot);

// During delivery: takes back what was not delivered of this place, without its first `skip` bytes, and of those behind
// it, `count` in all.
void hold_datagrams(Core& core, Slot& slot, uint32_t place, uint32_t count, uint32_t skip);

}  // namespace em
