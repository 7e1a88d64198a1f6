#include <errno.h>
#include <string.h>

#include "net/datagram_core.h"
#include "net/datagram_io.h"

namespace em {

namespace {

// Milliseconds.
constexpr double kRetryTime = 10;
constexpr double kSegmentsAgain = 1000;

// A send may fail with what was answered to an earlier one, which takes that error away. So it is tried again, and what
// fails then has failed itself. That somebody refuses a datagram is never known when it is sent over UDP.
int repeats_for(const DatagramSocket& socket, int32_t error) {
  if (error == -EINTR) return 1000;
  return error == -ECONNREFUSED && socket.family != AF_UNIX ? 8 : 1;
}

// What the kernel says of a run that it will not cut: the segments do not fit the path, or the device cannot do it.
bool refuses_run(int32_t error) {
  return error == -EINVAL || error == -EMSGSIZE || error == -EIO || error == -EOPNOTSUPP;
}

void fail(Core& core, Slot& slot, int32_t error, const void* name, uint32_t length) {
  SendFailure failure = {error, Syscall::sendmsg, length, {}};
  if (length > 0) memcpy(failure.name, name, length);
  slot.datagram->failures.push_back(failure);
  core.defer(slot, kDueFailed);
}

// These bytes wait no longer.
void settle_bytes(Core& core, Slot& slot, uint32_t length) {
  core.shared.outbound[slot.index()] -= length;
  core.count(kTotalOutbound, -static_cast<double>(length));
}

void wait_for_kernel(Core& core, Slot& slot, int32_t error) {
  DatagramSocket& socket = *slot.datagram;
  // A Unix peer that does not read refuses its own datagrams, of which the poller says nothing.
  socket.polls_out = error == -EAGAIN && !socket.waits_by_peer();
  if (socket.polls_out || socket.retries) return;
  socket.retries = true;
  core.datagrams->retrying.push_back(slot.handle);
  core.datagrams->wake_by(monotonic_now() + kRetryTime);
}

// A run that the kernel refused: how many datagrams, and the longest segments it may take instead.
struct Refused {
  uint32_t datagrams = 0, segment = 0;
};

struct Outcome {
  size_t done = 0;    // datagrams that are with the kernel, or have failed
  bool sent = false;  // some of them are with the kernel
  int32_t error = 0;  // why the next ones wait; 0 where they can be tried
  Refused refused;    // the next ones
};

Outcome send_batch(Core& core, Slot& slot, double stamp) {
  DatagramBatch& batch = core.datagrams->batch;
  DatagramSocket& socket = *slot.datagram;
  Outcome outcome;
  batch.seal();
  int repeats = 0;
  for (size_t at = 0; at < batch.count();) {
    const int sent = core.sys.sendmmsg(slot.fd, batch.messages(at), batch.count() - at);
    if (sent > 0) {
      for (const size_t end = at + static_cast<size_t>(sent); at < end; at++) {
        settle_bytes(core, slot, batch.bytes(at));
        core.count(kBytesOut, batch.bytes(at));
        socket.sent += batch.datagrams(at);
        socket.bytes_sent += batch.bytes(at);
        outcome.done += batch.datagrams(at);
      }
      outcome.sent = true;
      slot.last_write = stamp;
      repeats = 0;
      continue;
    }
    const int32_t error = sent == 0 ? -EAGAIN : sent;
    if (error != -EINTR && is_transient(error)) {
      outcome.error = error;
      return outcome;
    }
    if (repeats++ < repeats_for(socket, error)) continue;
    repeats = 0;
    const uint32_t datagrams = batch.datagrams(at);
    if (datagrams > 1 && refuses_run(error)) {
      const bool too_long = error == -EINVAL || error == -EMSGSIZE;
      outcome.refused = {datagrams, too_long ? batch.segment(at) - 1 : 0};
      return outcome;
    }
    const msghdr& message = batch.messages(at)->msg_hdr;
    for (uint32_t i = 0; i < datagrams; i++) fail(core, slot, error, message.msg_name, message.msg_namelen);
    settle_bytes(core, slot, batch.bytes(at));
    outcome.done += datagrams;
    at++;
  }
  return outcome;
}

// Gathers batches and learns from what becomes of them. The datagrams of a run that was refused go again, one by one:
// where the kernel takes any of them so, runs as long as that one are not tried for a while. Otherwise it was their
// address that it refused, which says nothing of others.
class Gathering {
 public:
  Gathering(DatagramBatch& batch, DatagramSocket& socket, double stamp)
      : batch_(batch), socket_(socket), stamp_(stamp) {
    if (stamp < socket.segments_again_at) return;
    socket.most_segment = UINT16_MAX;
    socket.segments_again_at = kNever;
  }

  void begin() { batch_.clear(); }
  // False where it goes into the next batch.
  bool add(const Datagram& datagram) {
    if (apart_.datagrams == 0) return batch_.add(datagram, socket_.most_segment);
    return batch_.count() < apart_.datagrams && batch_.add(datagram, 0);
  }
  void learn(const Outcome& outcome) {
    if (apart_.datagrams > 0 && outcome.sent && apart_.segment < socket_.most_segment) {
      socket_.most_segment = apart_.segment;
      socket_.segments_again_at = stamp_ + kSegmentsAgain;
    }
    apart_ = outcome.refused;
  }

 private:
  DatagramBatch& batch_;
  DatagramSocket& socket_;
  const double stamp_;
  Refused apart_;
};

// The newest is dropped where too much waits.
void queue_datagram(Core& core, Slot& slot, const Datagram& datagram) {
  DatagramSocket& socket = *slot.datagram;
  if (socket.waiting_size() + datagram.length + DatagramQueue::kOverhead > socket.send_limit) {
    socket.dropped++;
    settle_bytes(core, slot, datagram.length);
    return;
  }
  if (!socket.waits_by_peer()) return socket.queue.append(datagram, core.live);
  if (socket.peer_queues == nullptr) socket.peer_queues = std::make_unique<PeerQueues>();
  socket.peer_queues->append(datagram, core.live);
}

Datagram piece_of(const Core& core, uint32_t at) {
  const Core::Piece& piece = core.piece(at);
  const uint8_t* slab = core.shared.out_slab;
  const uint32_t length = piece.name & ((1u << kNameShift) - 1);
  return {slab + piece.offset, piece.length, slab + (piece.name >> kNameShift) * 4, length};
}

// Tells JavaScript whether anything waits, and the poller what for.
void note_waiting(Core& core, Slot& slot) {
  uint8_t& flags = core.shared.flags[slot.index()];
  if (slot.datagram->waits()) {
    flags |= kWaits;
    update_datagram_interest(core, slot);
    return;
  }
  if (flags & kWaits) {
    flags &= static_cast<uint8_t>(~kWaits);
    update_datagram_interest(core, slot);
  }
  if (slot.state == State::open) datagrams_sent(core, slot);
}

// Sends the queue until it is empty, or the kernel takes no more.
void send_queue(Core& core, Slot& slot, DatagramQueue& queue, double stamp) {
  Gathering gathering(core.datagrams->batch, *slot.datagram, stamp);
  while (!queue.empty()) {
    gathering.begin();
    for (const DatagramQueue::Entry* entry = queue.front(); entry != nullptr; entry = entry->next) {
      if (!gathering.add(entry->datagram)) break;
    }
    const Outcome outcome = send_batch(core, slot, stamp);
    for (size_t i = 0; i < outcome.done; i++) queue.drop_front(core.live);
    if (outcome.error != 0) return wait_for_kernel(core, slot, outcome.error);
    gathering.learn(outcome);
  }
}

}  // namespace

void flush_datagrams(Core& core, Slot& slot, double stamp) {
  if (slot.state == State::closed) return core.forget_pieces(slot);
  DatagramSocket& socket = *slot.datagram;
  Gathering gathering(core.datagrams->batch, socket, stamp);
  for (uint32_t at = slot.piece_head; at != kNoPiece;) {
    const Datagram first = piece_of(core, at);
    if (socket.waits_for(first)) {
      queue_datagram(core, slot, first);
      at = core.piece(at).next;
      continue;
    }
    gathering.begin();
    for (uint32_t next = at; next != kNoPiece; next = core.piece(next).next) {
      const Datagram datagram = piece_of(core, next);
      if (socket.waits_for(datagram) || !gathering.add(datagram)) break;
    }
    const Outcome outcome = send_batch(core, slot, stamp);
    for (size_t i = 0; i < outcome.done; i++) at = core.piece(at).next;
    if (outcome.error != 0) {
      wait_for_kernel(core, slot, outcome.error);
      queue_datagram(core, slot, piece_of(core, at));
      at = core.piece(at).next;
    }
    gathering.learn(outcome);
  }
  core.forget_pieces(slot);
  note_waiting(core, slot);
}

void send_datagram_queue(Core& core, Slot& slot, double stamp) {
  DatagramSocket& socket = *slot.datagram;
  if (!socket.queue.empty()) send_queue(core, slot, socket.queue, stamp);
  if (socket.peer_queues != nullptr) {
    socket.peer_queues->each([&](DatagramQueue& queue) { send_queue(core, slot, queue, stamp); });
    if (socket.peer_queues->empty()) socket.peer_queues = nullptr;
  }
  note_waiting(core, slot);
}

void send_datagram(Core& core, Slot& slot, const Datagram& datagram) {
  if (slot.state != State::open || is_muted(core, slot)) return;
  core.shared.outbound[slot.index()] += datagram.length;
  core.count(kTotalOutbound, datagram.length);
  const double stamp = monotonic_now();
  flush_datagrams(core, slot, stamp);
  if (slot.state != State::open) return;
  if (!slot.datagram->waits_for(datagram)) {
    DatagramBatch& batch = core.datagrams->batch;
    batch.clear();
    batch.add(datagram, 0);
    const Outcome outcome = send_batch(core, slot, stamp);
    if (outcome.done > 0) return;
    wait_for_kernel(core, slot, outcome.error);
  }
  queue_datagram(core, slot, datagram);
  note_waiting(core, slot);
}

void retry_datagrams(Core& core, Slot& slot) {
  slot.datagram->retries = false;
  if (slot.state == State::open && !slot.datagram->polls_out) send_datagram_queue(core, slot, core.now);
}

}  // namespace em
