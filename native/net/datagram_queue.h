// Datagrams that the kernel would not take yet, whole and in order.
#pragma once

#include <cstddef>
#include <cstdint>

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

}  // namespace em
