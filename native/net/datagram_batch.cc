#include "net/datagram_batch.h"

#include <linux/udp.h>
#include <string.h>

namespace em {

bool DatagramBatch::add(const Datagram& datagram, uint32_t most_segment) {
  if (count_ > 0 && join(datagram, most_segment)) return true;
  if (count_ == kMost || piece_count_ == kMostPieces) return false;
  iovec& piece = pieces_[piece_count_++];
  piece = {const_cast<uint8_t*>(datagram.data), datagram.length};
  msghdr& message = messages_[count_].msg_hdr;
  message = {};
  message.msg_name = datagram.name_length > 0 ? const_cast<uint8_t*>(datagram.name) : nullptr;
  message.msg_namelen = datagram.name_length;
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  runs_[count_++] = {1, datagram.length, datagram.length, false};
  return true;
}

bool DatagramBatch::join(const Datagram& datagram, uint32_t most_segment) {
  Run& run = runs_[count_ - 1];
  msghdr& message = messages_[count_ - 1].msg_hdr;
  if (run.segment > most_segment || run.ended || datagram.length == 0 || datagram.length > run.segment) return false;
  if (run.datagrams == kMostSegments || run.bytes + datagram.length > kMostOfRun) return false;
  if (datagram.name_length != message.msg_namelen) return false;
  if (datagram.name != message.msg_name && datagram.name_length > 0 &&
      memcmp(datagram.name, message.msg_name, datagram.name_length) != 0) {
    return false;
  }
  iovec& last = pieces_[piece_count_ - 1];
  if (static_cast<uint8_t*>(last.iov_base) + last.iov_len == datagram.data) {
    last.iov_len += datagram.length;
  } else if (piece_count_ < kMostPieces) {
    pieces_[piece_count_++] = {const_cast<uint8_t*>(datagram.data), datagram.length};
    message.msg_iovlen++;
  } else {
    return false;
  }
  run.datagrams++;
  run.bytes += datagram.length;
  run.ended = datagram.length < run.segment;
  return true;
}

void DatagramBatch::seal() {
  for (size_t at = 0; at < count_; at++) {
    if (runs_[at].datagrams == 1) continue;
    msghdr& message = messages_[at].msg_hdr;
    message.msg_control = controls_[at];
    message.msg_controllen = sizeof controls_[at];
    cmsghdr* control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    const auto segment = static_cast<uint16_t>(runs_[at].segment);
    memcpy(CMSG_DATA(control), &segment, sizeof segment);
  }
}

}  // namespace em
