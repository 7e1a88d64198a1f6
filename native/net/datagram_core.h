// What the datagram sockets of one reactor have in common: the arena that datagrams are received into, what the system
// calls are told, and who waits for the clock. Made with the first of them.
//
// The arena is part of the shared memory. A place is a head of words, the sender's sockaddr among them, and behind it
// room for the largest datagram; JavaScript is lent those that were filled until the batch is over. Its pages cost
// nothing until they are used, and are given back when nothing large has come for a while.
#pragma once

#include <sys/socket.h>

#include <vector>

#include "core/core.h"
#include "net/datagram_batch.h"

namespace em {

struct DatagramCore {
  explicit DatagramCore(Region& region);
  DatagramCore(const DatagramCore&) = delete;
  DatagramCore& operator=(const DatagramCore&) = delete;

  // A Unix datagram may be longer than a place: four of them hold what a sender may have queued by default.
  static constexpr uint32_t kUnixPlaces = 4;

  uint8_t* place(uint32_t at) const { return arena_ + size_t{at} * kPlaceSize; }
  int32_t* head(uint32_t at) const { return reinterpret_cast<int32_t*>(place(at)); }
  uint8_t* bytes(uint32_t at) const { return place(at) + kPlaceHead; }
  static size_t room(uint32_t step) { return size_t{step} * kPlaceSize - kPlaceHead; }
  uint32_t free_places() const { return kMaxPlaces - used; }
  bool has_room() const { return free_places() >= kUnixPlaces; }

  // Points the messages from `first` on to as many places, which are `step` places long each; from `first` on too.
  void point(uint32_t first, uint32_t count, uint32_t step);
  // Makes them ready for the next call.
  void reset(uint32_t first, uint32_t count);

  // The batch is over.
  void end_batch() { used = 0; }
  // At least one datagram has touched more than the first page of its place.
  void large_came(double now);
  // Calls back at this time, or earlier.
  void wake_by(double time) { wake_at = wake_at < time ? wake_at : time; }
  void wake(Core& core);

  uint32_t used = 0;  // places, in this batch
  mmsghdr messages[kMaxPlaces] = {};
  DatagramBatch batch;
  std::vector<int32_t> retrying;
  double wake_at = kNever;

 private:
  // All that may come with one: the segment's length, packet information, TTL and ECN.
  static constexpr size_t kControlRoom = 192;

  uint8_t* arena_;
  double give_back_at_ = kNever;
  iovec rooms_[kMaxPlaces];
  alignas(cmsghdr) uint8_t controls_[kMaxPlaces][kControlRoom];
};

}  // namespace em
