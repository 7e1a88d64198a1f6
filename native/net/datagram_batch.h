// Datagrams gathered for one sendmmsg: a message for each, or one for a run of them that have the same peer and the
// same length, which the kernel cuts apart again (UDP_SEGMENT). The last of a run may be shorter.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "net/datagram_queue.h"

namespace em {

class DatagramBatch {
 public:
  static constexpr size_t kMost = 64;  // messages

  void clear() { count_ = piece_count_ = 0; }
  // False where it is full. Runs are made of what is not longer than `most_segment`.
  bool add(const Datagram& datagram, uint32_t most_segment);
  // To be called when all are added.
  void seal();

  size_t count() const { return count_; }
  mmsghdr* messages(size_t from) { return messages_ + from; }
  // Of one message: how many datagrams, their bytes, and the length of the first of them.
  uint32_t datagrams(size_t at) const { return runs_[at].datagrams; }
  uint32_t bytes(size_t at) const { return runs_[at].bytes; }
  uint32_t segment(size_t at) const { return runs_[at].segment; }

 private:
  static constexpr size_t kMostPieces = 256;
  static constexpr uint32_t kMostSegments = 64;   // the kernel's own bound, of old
  static constexpr uint32_t kMostOfRun = 65'507;  // what one UDP datagram over IPv4 carries

  struct Run {
    uint32_t datagrams, bytes, segment;
    bool ended;  // by a shorter one
  };
  bool join(const Datagram& datagram, uint32_t most_segment);

  mmsghdr messages_[kMost] = {};
  Run runs_[kMost];
  iovec pieces_[kMostPieces];
  alignas(cmsghdr) uint8_t controls_[kMost][CMSG_SPACE(sizeof(uint16_t))];
  size_t count_ = 0, piece_count_ = 0;
};

}  // namespace em
