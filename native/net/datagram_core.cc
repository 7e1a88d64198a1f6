#include "net/datagram_core.h"

#include <sys/mman.h>

#include "net/datagram.h"

namespace em {

namespace {
constexpr double kQuietTime = 1000;  // milliseconds until the pages of large datagrams are given back
}  // namespace

static_assert(kPlaceName * sizeof(int32_t) + kNameRoom <= kPlaceInterface * sizeof(int32_t));
static_assert((kPlaceDestination + 4) * sizeof(int32_t) <= kPlaceHead && kPlaceHead % 64 == 0);
static_assert(kNameRoom >= sizeof(sockaddr_un) && kPlaceSize % 64 == 0);

DatagramCore::DatagramCore(Region& region) : arena_(region.arena) {
  point(0, kMaxPlaces, 1);
  reset(0, kMaxPlaces);
}

void DatagramCore::point(uint32_t first, uint32_t count, uint32_t step) {
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t at = first + i * step;
    rooms_[first + i] = {bytes(at), room(step)};
    messages[first + i].msg_hdr.msg_name = head(at) + kPlaceName;
  }
}

void DatagramCore::reset(uint32_t first, uint32_t count) {
  for (uint32_t at = first; at < first + count; at++) {
    msghdr& message = messages[at].msg_hdr;
    message.msg_namelen = kNameRoom;
    message.msg_iov = rooms_ + at;
    message.msg_iovlen = 1;
    message.msg_control = controls_[at];
    message.msg_controllen = kControlRoom;
  }
}

void DatagramCore::large_came(double now) {
  give_back_at_ = now + kQuietTime;
  wake_by(give_back_at_);
}

void DatagramCore::wake(Core& core) {
  wake_at = kNever;
  if (give_back_at_ <= core.now) {
    give_back_at_ = kNever;
    madvise(arena_, kArenaSize, MADV_DONTNEED);
  }
  if (give_back_at_ != kNever) wake_by(give_back_at_);
  std::vector<int32_t> handles;
  handles.swap(retrying);
  for (int32_t handle : handles) {
    Slot* slot = core.slots.find(handle);
    if (slot != nullptr && slot->kind == Kind::datagram) retry_datagrams(core, *slot);
  }
}

}  // namespace em
