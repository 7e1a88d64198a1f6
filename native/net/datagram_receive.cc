// The second of these needs the first and does not say so.
// clang-format off
#include <time.h>
#include <linux/errqueue.h>
// clang-format on

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>

#include "net/datagram_core.h"
#include "net/datagram_io.h"

namespace em {

namespace {

// Of one socket in one batch.
constexpr uint32_t kQuota = 64;
// The same where the datagrams are large, or many that came as one: as much as streams may bring in a batch.
constexpr uint32_t kLargeQuota = 8;
constexpr uint32_t kLarge = 16 * 1024;
constexpr uint32_t kPage = 4096;
constexpr int kErrorsARound = 8;

// Errors of the descriptor, not of a datagram or the network.
bool is_fatal(int32_t error) { return error == -EBADF || error == -ENOTSOCK || error == -EINVAL || error == -EFAULT; }

template <typename T>
T value_of(cmsghdr* control) {
  T value;
  memcpy(&value, CMSG_DATA(control), sizeof value);
  return value;
}

void note_destination(int32_t* head, uint32_t info, uint32_t interface, const void* address, size_t size) {
  head[kPlaceInfo] |= static_cast<int32_t>(info);
  head[kPlaceInterface] = static_cast<int32_t>(interface);
  memcpy(head + kPlaceDestination, address, size);
}

void note_traffic(int32_t* head, int bits) { head[kPlaceInfo] |= static_cast<int32_t>(kInfoTraffic) | bits; }

void read_internet_control(int32_t* head, cmsghdr* control) {
  const bool v6 = control->cmsg_level == IPPROTO_IPV6;
  const int type = control->cmsg_type;
  if (!v6 && type == IP_PKTINFO) {
    const auto info = value_of<in_pktinfo>(control);
    note_destination(head, kInfoDestination4, static_cast<uint32_t>(info.ipi_ifindex), &info.ipi_addr, 4);
  } else if (v6 && type == IPV6_PKTINFO) {
    const auto info = value_of<in6_pktinfo>(control);
    note_destination(head, kInfoDestination6, info.ipi6_ifindex, &info.ipi6_addr, 16);
  } else if (type == (v6 ? IPV6_HOPLIMIT : IP_TTL)) {
    note_traffic(head, value_of<int>(control) & 0xff);
  } else if (type == (v6 ? IPV6_TCLASS : IP_TOS)) {
    // The kernel hands TOS out as one byte and the traffic class as an int.
    const int traffic = v6 ? value_of<int>(control) : value_of<uint8_t>(control);
    note_traffic(head, (traffic & 3) << 8);
  }
}

void read_controls(int32_t* head, msghdr* message) {
  for (cmsghdr* control = CMSG_FIRSTHDR(message); control != nullptr; control = CMSG_NXTHDR(message, control)) {
    if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO) {
      head[kPlaceSegment] = value_of<int>(control);
    } else if (control->cmsg_level == IPPROTO_IP || control->cmsg_level == IPPROTO_IPV6) {
      read_internet_control(head, control);
    }
  }
}

// Of several that came as one.
double datagrams_in(const int32_t* head) {
  const int32_t length = head[kPlaceLength], segment = head[kPlaceSegment];
  return segment > 0 && length > segment ? (length + segment - 1) / segment : 1;
}

uint32_t places_each(const Slot& slot) { return slot.has(kInternet) ? 1 : DatagramCore::kUnixPlaces; }

void emit_places(Core& core, const Slot& slot, uint32_t first, uint32_t count) {
  const auto extra = static_cast<int32_t>(places_each(slot) | count << 8);
  core.emit(Event::datagrams, extra, slot.handle, static_cast<int32_t>(first), 0);
}

// Fills in the heads of the places that were filled. A Unix datagram that did not fit is no datagram any more: it is
// counted as dropped, and left out by its length.
void took(Core& core, Slot& slot, uint32_t first, uint32_t count, uint32_t step) {
  DatagramCore& shared = *core.datagrams;
  DatagramSocket& socket = *slot.datagram;
  uint32_t largest = 0;
  double bytes = 0;
  for (uint32_t i = 0; i < count; i++) {
    mmsghdr& message = shared.messages[first + i];
    int32_t* head = shared.head(first + i * step);
    head[kPlaceLength] = static_cast<int32_t>(message.msg_len);
    head[kPlaceNameLength] = static_cast<int32_t>(std::min<uint32_t>(message.msg_hdr.msg_namelen, kNameRoom));
    head[kPlaceSegment] = head[kPlaceInfo] = 0;
    pad_name(head + kPlaceName, static_cast<size_t>(head[kPlaceNameLength]));
    if (message.msg_hdr.msg_controllen > 0) read_controls(head, &message.msg_hdr);
    largest = std::max(largest, message.msg_len);
    if (message.msg_hdr.msg_flags & MSG_TRUNC) {
      head[kPlaceLength] = -1;
      count_receive_drops(core, socket, 1);
    } else {
      socket.received += datagrams_in(head);
      bytes += message.msg_len;
    }
  }
  core.count(kBytesIn, bytes);
  slot.last_read = core.now;
  socket.takes_large = largest > kLarge;
  if (largest > kPage - kPlaceHead) shared.large_came(core.now);
}

}  // namespace

void receive_datagrams(Core& core, Slot& slot) {
  if (!slot.has(kWantIn)) return;
  if (slot.has(kSkipRead)) return slot.unset(kSkipRead);
  DatagramCore& shared = *core.datagrams;
  uint8_t& flags = core.shared.flags[slot.index()];
  if (flags & (kPaused | kMuted)) {
    // `pause` itself is but a bit; the poller hears of it when there is something not to read.
    flags |= kNeedsResume;
    slot.unset(kWantIn);
    return update_datagram_interest(core, slot);
  }
  const uint32_t step = places_each(slot);
  const uint32_t quota = slot.datagram->takes_large ? kLargeQuota : kQuota;
  const uint32_t most = std::min(quota, shared.free_places() / step);
  const uint32_t first = shared.used;
  if (step > 1) shared.point(first, most, step);
  const int got = core.sys.recvmmsg(slot.fd, shared.messages + first, most);
  if (got > 0) {
    took(core, slot, first, static_cast<uint32_t>(got), step);
    emit_places(core, slot, first, static_cast<uint32_t>(got));
    shared.used += static_cast<uint32_t>(got) * step;
    shared.reset(first, static_cast<uint32_t>(got));
  }
  if (step > 1) shared.point(first, most, 1);
  // An error that is none of the descriptor is what a peer answered to an earlier datagram; the error queue says which.
  if (got < 0 && is_fatal(got)) close_datagrams(core, slot, Ended::error, got, Syscall::recvmsg);
}

// Errors
// ---------------------------------------------------------------------------------------------------------------

namespace {

// Returns the error that somebody on the network answered with, 0 where it is something else.
int32_t network_error(msghdr* message) {
  for (cmsghdr* control = CMSG_FIRSTHDR(message); control != nullptr; control = CMSG_NXTHDR(message, control)) {
    const bool v4 = control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_RECVERR;
    const bool v6 = control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_RECVERR;
    if (!v4 && !v6) continue;
    const auto error = value_of<sock_extended_err>(control);
    // What the kernel here says, the send that it refused has said already.
    const bool told = error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6;
    return told ? -static_cast<int32_t>(error.ee_errno) : 0;
  }
  return 0;
}

}  // namespace

void receive_errors(Core& core, Slot& slot) {
  int taken = 0;
  for (; taken < kErrorsARound; taken++) {
    Address peer;
    alignas(cmsghdr) uint8_t controls[512];
    msghdr message = {};
    message.msg_name = &peer.any;
    message.msg_namelen = Address::kRoom;
    message.msg_control = controls;
    message.msg_controllen = sizeof controls;
    if (core.sys.take_error(slot.fd, &message) < 0) break;
    const int32_t error = network_error(&message);
    if (error == 0) continue;
    peer.length = message.msg_namelen;
    peer.clamp();
    emit_failure(core, slot, error, Syscall::recvmsg, &peer.any, peer.length);
  }
  if (taken > 0) return;
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(slot.fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) {
    emit_failure(core, slot, -error, Syscall::recvmsg, nullptr, 0);
  }
}

// Held datagrams
// -------------------------------------------------------------------------------------------------------

// Held, each is a head and its bytes, at multiples of 8.
static size_t held_size(size_t length) { return (kPlaceHead + length + 7) & ~size_t{7}; }

void hold_datagrams(Core& core, Slot& slot, uint32_t place, uint32_t count, uint32_t skip) {
  DatagramCore& shared = *core.datagrams;
  std::vector<uint8_t>& held = slot.datagram->held;
  const uint32_t step = places_each(slot);
  if (slot.state != State::open || slot.has(kFinishing)) return;
  if (place >= shared.used || count > (shared.used - place) / step) return;
  for (uint32_t i = 0; i < count; i++) {
    int32_t* head = shared.head(place + i * step);
    const auto length = static_cast<size_t>(static_cast<uint32_t>(read_once(head[kPlaceLength])));
    if (length > DatagramCore::room(step) || skip > length) continue;
    if (held.empty()) core.live.unread++;
    const size_t at = held.size();
    held.resize(at + held_size(length - skip));
    memcpy(held.data() + at, head, kPlaceHead);
    const auto left = static_cast<int32_t>(length - skip);
    memcpy(held.data() + at + kPlaceLength * sizeof left, &left, sizeof left);
    memcpy(held.data() + at + kPlaceHead, shared.bytes(place + i * step) + skip, length - skip);
    skip = 0;
  }
  core.shared.flags[slot.index()] |= kNeedsResume;
  slot.unset(kWantIn);
  update_datagram_interest(core, slot);
}

bool emit_held(Core& core, Slot& slot) {
  DatagramCore& shared = *core.datagrams;
  DatagramSocket& socket = *slot.datagram;
  uint8_t& flags = core.shared.flags[slot.index()];
  if (flags & kPaused) {
    // Paused again since it was resumed: they stay, and the next `resume` has to ask for them.
    flags |= kNeedsResume;
    return true;
  }
  const uint32_t step = places_each(slot);
  const uint32_t first = shared.used;
  size_t at = 0;
  uint32_t count = 0;
  for (; at < socket.held.size() && count < kQuota && shared.free_places() >= step; count++) {
    int32_t length;
    memcpy(&length, socket.held.data() + at + kPlaceLength * sizeof length, sizeof length);
    memcpy(shared.head(shared.used), socket.held.data() + at, kPlaceHead + static_cast<size_t>(length));
    if (static_cast<uint32_t>(length) > kPage - kPlaceHead) shared.large_came(core.now);
    at += held_size(static_cast<size_t>(length));
    shared.used += step;
  }
  if (count > 0) {
    emit_places(core, slot, first, count);
    socket.held.erase(socket.held.begin(), socket.held.begin() + static_cast<ptrdiff_t>(at));
  }
  if (!socket.held.empty()) return false;
  socket.held.shrink_to_fit();
  core.live.unread--;
  slot.set(kWantIn | kSkipRead);
  update_datagram_interest(core, slot);
  return true;
}

}  // namespace em
