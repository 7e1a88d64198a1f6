// The state of one reactor's engine, free of Node: memory, handles, the poller, and the lists of what is to be done.
//
// The files of net/ and tls/ act on it and put into the ring and the lists; loop/rounds.h takes out of them again.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "core/descriptors.h"
#include "core/shared.h"
#include "core/slots.h"
#include "core/sys.h"
#include "poll/poller.h"

namespace em {

struct DatagramCore;
struct RelayCore;
struct TlsCore;
struct WatchCore;

// Reads a part of a file beside the loop, which goes on meanwhile; `tls_file_read` is told of the outcome in a later
// turn.
class FileReader {
 public:
  virtual void read(int32_t handle, int fd, int64_t offset, size_t length) = 0;

 protected:
  ~FileReader() = default;
};

constexpr double kNever = std::numeric_limits<double>::infinity();

class Core {
 public:
  Core(Region& region, Live& counts, uint32_t seed);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  Region& shared;
  Live& live;
  Sys sys;
  Poller poller;
  Descriptors descriptors;
  Slots slots;
  double now;  // of this round, in milliseconds of CLOCK_MONOTONIC
  uint64_t batches = 0;
  // What these are nobody here knows.
  std::shared_ptr<TlsCore> tls;             // with the first context
  std::shared_ptr<DatagramCore> datagrams;  // with the first datagram socket
  std::shared_ptr<WatchCore> watches;       // with the first watch
  std::shared_ptr<RelayCore> relays;        // with the first relay
  FileReader* files = nullptr;

  // One bit of Due: something to deliver in a later batch. Deferring twice is deferring once.
  void defer(Slot& slot, uint8_t due);

  // Takes over the pieces JavaScript has written since: from here on a command comes behind them.
  void absorb();
  // There is something to send at the next flush.
  void mark_dirty(Slot& slot);
  // Forgets the pieces of a connection, which are sent, copied or dropped.
  void forget_pieces(Slot& slot) { slot.piece_head = slot.piece_tail = kNoPiece; }

  // Within `collect` alone: puts an event into the ring, which has room for it.
  void emit(Event event, int32_t extra, int32_t a, int32_t b, int32_t c);
  uint32_t event_count() const { return event_count_; }
  uint32_t ring_room() const { return kMaxEvents - event_count_; }
  // Room in the event slab, and the bytes kept of it.
  uint8_t* slab_room(size_t least);
  int32_t keep_slab(size_t length);
  bool in_slab(int32_t offset, int32_t length) const;
  // After the batch under way this handle is free.
  void release_after_batch(Slot& slot) { released_.push_back(slot.handle); }

  struct Piece {
    uint32_t offset, length, next;
    uint32_t name;  // of a datagram's peer: as in the ring
  };
  const Piece& piece(uint32_t at) const { return pieces_[at]; }

  // A descriptor of ours was closed: listeners that ran out of them may try again.
  void descriptor_closed();
  // A listener ran out of descriptors or memory.
  void back_off(int32_t listener);

  // The slot has it from here on.
  void set_descriptor(Slot& slot, int fd) {
    slot.fd = fd;
    live.descriptors++;
  }
  void count(Figure figure, double by = 1) { shared.figures[figure] += by; }

 private:
  friend class Rounds;

  uint32_t event_count_ = 0;
  uint32_t slab_used_ = 0;

  std::vector<int32_t> due_;
  std::vector<int32_t> dirty_;
  std::vector<int32_t> released_;
  std::vector<int32_t> backed_off_;
  double retry_at_ = kNever;

  uint32_t absorbed_ = 0;
  Piece pieces_[kMaxPieces];
};

// What the program wants of a handle now; JavaScript writes these flags itself.
inline bool is_paused(const Core& core, const Slot& slot) { return (core.shared.flags[slot.index()] & kPaused) != 0; }
inline bool is_muted(const Core& core, const Slot& slot) { return (core.shared.flags[slot.index()] & kMuted) != 0; }

// Whether a piece of output with this name of a peer, which JavaScript wrote, may be sent.
inline bool takes_datagrams(const Core& core, const Slot& slot, uint32_t name) {
  const uint32_t at = (name >> kNameShift) * 4, length = name & ((1u << kNameShift) - 1);
  return slot.state == State::open && !is_muted(core, slot) && length <= kNameRoom && at <= kOutSlabSize - kNameRoom;
}

}  // namespace em
