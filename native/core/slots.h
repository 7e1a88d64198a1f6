// The table from handles to what they stand for. A handle is an index of 20 bits under a generation of 11, so that a
// stale one finds nothing. Slots never move, and freed ones wait in a queue for as long as possible before reuse: a
// handle comes again only when 64 others have been used 2,047 times.
#pragma once

#include <cstdint>
#include <deque>

#include "core/address.h"
#include "core/out_queue.h"
#include "core/shared.h"

namespace em {

enum class Kind : uint8_t { free, listener, stream, datagram, watch };
enum class State : uint8_t { connecting, open, closed };

enum Bit : uint32_t {
  kHalfOpen = 1 << 0,
  kWantIn = 1 << 1,
  kRegistered = 1 << 2,    // the poller knows the descriptor
  kParked = 1 << 3,        // hung up with nothing to do about it: kept from the poller, which would tell it for ever
  kShutWanted = 1 << 4,    // FIN behind what is queued
  kShutDone = 1 << 5,      // FIN sent
  kFinishing = 1 << 6,     // discard input until the peer's FIN
  kDetaching = 1 << 7,     // give the descriptor up when the queue is empty
  kPeerFin = 1 << 8,       // the peer's FIN was read and acted upon
  kEndDelivered = 1 << 9,  // ... by telling the program
  kWantWritable = 1 << 10,
  kDirty = 1 << 11,      // in the list of connections to flush
  kListed = 1 << 12,     // in the list of handles with events due
  kPeerKnown = 1 << 13,  // `peer` holds
  kInternet = 1 << 14,   // TCP, not a Unix socket
  kAddressed = 1 << 15,  // it was open: there are addresses to ask for
  kSkipRead = 1 << 16,   // held bytes are in this batch: the kernel's next ones wait for another
  kTls = 1 << 17,
  kAdopted = 1 << 18,    // others may have the same socket: closing our descriptor does not take it from the poller
  kFailed = 1 << 19,     // the peer is gone, as `error` says: closed when what it sent before that has been read
  kKept = 1 << 20,       // device and inode of its descriptor are on record: see descriptors.h
  kRelays = 1 << 21,     // the source of a relay: see net/relay.h
  kRelayed = 1 << 22,    // the target of one
  kAwaited = 1 << 23,    // ... which the source waits for, to have room
  kPiped = 1 << 24,      // ... with bytes in the relay's pipe, which the kernel has refused
  kHasRelay = 1 << 25,   // what its last relay has passed on is on record
  kFile = 1 << 26,       // no socket: a pipe, a terminal, a device
  kReadOnly = 1 << 27,   // of a file: nothing can be sent
  kWriteOnly = 1 << 28,  // of a file: nothing comes in
};

// Events a handle has waiting, delivered in this order.
enum Due : uint8_t {
  kDueListening = 1,
  kDueConnected = 2,
  kDueUnread = 4,
  kDueFileSent = 8,
  kDueWritable = 16,
  kDueClosed = 32,
  kDueInput = 64,    // that the poller does not know of
  kDueFailed = 128,  // datagrams that could not be sent
};

constexpr uint32_t kNoPiece = UINT32_MAX;

// Bytes read and not delivered, because the connection was paused in between.
struct Unread {
  uint32_t size;
  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
};

struct SavedAddresses {
  Address own, peer;
};

struct DatagramSocket;
struct Listener;
struct TlsConnection;

// What every message touches is in the first cache line.
struct alignas(64) Slot {
  int32_t handle = kNoHandle;
  int fd = -1;
  Kind kind = Kind::free;
  State state = State::closed;
  uint8_t due = 0;
  uint8_t interest = 0;  // what the poller was told
  uint32_t bits = 0;
  uint32_t piece_head = kNoPiece, piece_tail = kNoPiece;  // of this turn's output
  OutQueue queue;
  double last_read = 0, last_write = 0;
  uint32_t low_water = 0;
  uint32_t files_sent = 0;  // `fileSent` events due

  InternetPeer peer;  // with kPeerKnown
  Ended ended = Ended::local;
  Syscall syscall = Syscall::none;
  int32_t error = 0;
  int32_t listener = kNoHandle;  // the one that accepted it
  Unread* unread = nullptr;
  SavedAddresses* saved = nullptr;  // once the descriptor is closed
  union {
    Listener* accepting = nullptr;  // of a listener
    TlsConnection* tls;             // of a connection with kTls
    DatagramSocket* datagram;       // of a datagram socket
  };

  uint32_t index() const { return static_cast<uint32_t>(handle & kIndexMask); }
  bool has(uint32_t bit) const { return (bits & bit) != 0; }
  void set(uint32_t bit) { bits |= bit; }
  void unset(uint32_t bit) { bits &= ~bit; }
};
static_assert(sizeof(Slot) == 128);

inline bool takes_output(const Slot& slot) {
  return slot.kind == Kind::stream && slot.state != State::closed && !slot.has(kShutWanted | kDetaching | kFailed);
}

class Slots {
 public:
  Slots(Region& region, Live& live) : region_(region), live_(live) {}
  ~Slots();
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  // Null where the handle is stale.
  Slot* find(int32_t handle) {
    if (handle < 0) return nullptr;
    uint32_t index = static_cast<uint32_t>(handle & kIndexMask);
    if (index >= used_) return nullptr;
    Slot& slot = at(index);
    return slot.handle == handle && slot.kind != Kind::free ? &slot : nullptr;
  }

  // Null where all are taken.
  Slot* allocate(Kind kind);
  void release(Slot& slot);

  template <typename F>
  void each(F&& visit) {
    for (uint32_t i = 0; i < used_; i++) {
      if (at(i).kind != Kind::free) visit(at(i));
    }
  }

 private:
  static constexpr uint32_t kChunkBits = 10;
  static constexpr uint32_t kChunkSize = 1u << kChunkBits;

  Slot& at(uint32_t index) { return chunks_[index >> kChunkBits][index & (kChunkSize - 1)]; }

  Region& region_;
  Live& live_;
  Slot* chunks_[kMaxSlots / kChunkSize] = {};
  uint32_t used_ = 0;
  std::deque<uint32_t> free_;
};

}  // namespace em
