#include "net/datagram_queue.h"

#include <stdlib.h>
#include <string.h>

namespace em {

void DatagramQueue::append(const Datagram& datagram, Live& live) {
  auto* entry = static_cast<Entry*>(malloc(sizeof(Entry) + datagram.name_length + datagram.length));
  if (entry == nullptr) abort();  // as Node does when memory is out
  auto* name = reinterpret_cast<uint8_t*>(entry + 1);
  uint8_t* data = name + datagram.name_length;
  if (datagram.name_length > 0) memcpy(name, datagram.name, datagram.name_length);
  if (datagram.length > 0) memcpy(data, datagram.data, datagram.length);
  *entry = {nullptr, {data, datagram.length, name, datagram.name_length}};
  if (tail_ == nullptr) {
    head_ = entry;
  } else {
    tail_->next = entry;
  }
  tail_ = entry;
  size_ += datagram.length + kOverhead;
  live.chunks++;
}

void DatagramQueue::drop_front(Live& live) {
  Entry* entry = head_;
  head_ = entry->next;
  if (head_ == nullptr) tail_ = nullptr;
  size_ -= entry->datagram.length + kOverhead;
  free(entry);
  live.chunks--;
}

void DatagramQueue::clear(Live& live) {
  while (head_ != nullptr) drop_front(live);
}

void PeerQueues::append(const Datagram& datagram, Live& live) {
  DatagramQueue& queue = queues_[key(datagram)];
  const size_t before = queue.size();
  queue.append(datagram, live);
  size_ += queue.size() - before;
}

void PeerQueues::clear(Live& live) {
  for (auto& [_, queue] : queues_) queue.clear(live);
  queues_.clear();
  size_ = 0;
}

}  // namespace em
