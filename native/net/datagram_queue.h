// Datagrams that the kernel would not take yet, whole and in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "core/live.h"

namespace em {

// One to send. The name is a sockaddr, and none for the peer of a connected socket.
struct Datagram {
  const uint8_t* data;
  uint32_t length;
  const uint8_t* name;
  uint32_t name_length;
};

class DatagramQueue {
 public:
  struct Entry {
    Entry* next;
    Datagram datagram;  // lies behind the entry
  };
  // What one costs beyond its bytes, as far as the limit of what may wait goes.
  static constexpr size_t kOverhead = 64;

  bool empty() const { return head_ == nullptr; }
  const Entry* front() const { return head_; }
  // Bytes, and kOverhead for each.
  size_t size() const { return size_; }

  void append(const Datagram& datagram, Live& live);
  void drop_front(Live& live);
  void clear(Live& live);

 private:
  Entry* head_ = nullptr;
  Entry* tail_ = nullptr;
  size_t size_ = 0;
};

// The same for several peers, each with its own order. Over Unix sockets it is the receiver that has no room, and
// others may have some.
class PeerQueues {
 public:
  using Queues = std::unordered_map<std::string, DatagramQueue>;

  bool empty() const { return queues_.empty(); }
  size_t size() const { return size_; }
  // Whether something waits for the peer of this one.
  bool has(const Datagram& datagram) const { return !empty() && queues_.count(key(datagram)) != 0; }

  void append(const Datagram& datagram, Live& live);
  void clear(Live& live);
  // Calls `send` with each queue, which takes from its front what was sent.
  template <typename F>
  void each(F&& send) {
    for (auto at = queues_.begin(); at != queues_.end();) {
      const size_t before = at->second.size();
      send(at->second);
      size_ -= before - at->second.size();
      at = at->second.empty() ? queues_.erase(at) : std::next(at);
    }
  }

 private:
  static std::string key(const Datagram& datagram) {
    return {reinterpret_cast<const char*>(datagram.name), datagram.name_length};
  }

  Queues queues_;
  size_t size_ = 0;
};

}  // namespace em
