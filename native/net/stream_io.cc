#include "net/stream_io.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "tls/tls_output.h"
#include "tls/tls_stream.h"
#include "tls/tls_wire.h"

namespace em {

namespace {

constexpr size_t kMostPieces = 64;  // of one sendmsg
constexpr int64_t kFileQuota = 256 * 1024;

int socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? -error : -errno;
}

void sent(Core& core, Slot& slot, size_t length, double stamp) {
  auto bytes = static_cast<double>(length);
  core.shared.outbound[slot.index()] -= bytes;
  core.count(kTotalOutbound, -bytes);
  core.count(kBytesOut, bytes);
  slot.last_write = stamp;
}

// Under TLS OpenSSL may be at work.
void write_failed(Core& core, Slot& slot, int32_t error, Syscall syscall) {
  if (slot.has(kTls)) {
    tls_write_failed(core, slot, error);
  } else {
    fail_stream(core, slot, error, syscall);
  }
}

// Nothing goes either way any more, and nothing more will come than what lies in the kernel.
bool is_over(int fd) {
  pollfd asked = {fd, 0, 0};
  return poll(&asked, 1, 0) == 1 && (asked.revents & POLLHUP) != 0;
}

// Returns false if the range cannot go on in this round.
bool send_file_part(Core& core, Slot& slot, Chunk& file, int64_t& quota, double stamp) {
  while (file.left > 0) {
    if (quota == 0) return false;
    int64_t asked = std::min(file.left, quota);
    off_t offset = file.offset;
    ssize_t took = core.sys.sendfile(slot.fd, file.file, &offset, static_cast<size_t>(asked));
    if (took == 0) {
      close_stream(core, slot, Ended::fileTruncated, 0, Syscall::sendfile);
      return false;
    }
    if (took < 0) {
      if (!is_transient(took)) write_failed(core, slot, static_cast<int32_t>(took), Syscall::sendfile);
      return false;
    }
    file.offset += took;
    file.left -= took;
    quota -= took;
    core.count(kBytesOut, static_cast<double>(took));
    slot.last_write = stamp;
    if (took < asked) return false;
  }
  slot.queue.drop_front(core.live);
  slot.files_sent++;
  core.defer(slot, kDueFileSent);
  return true;
}

}  // namespace

bool write_queue(Core& core, Slot& slot, double stamp) {
  int64_t quota = kFileQuota;
  while (!slot.queue.empty()) {
    if (Chunk* file = slot.queue.front_file(); file != nullptr) {
      if (!send_file_part(core, slot, *file, quota, stamp)) break;
      continue;
    }
    iovec pieces[kMostPieces];
    size_t count = slot.queue.gather(pieces, kMostPieces);
    size_t asked = 0;
    for (size_t i = 0; i < count; i++) asked += pieces[i].iov_len;
    ssize_t took = core.sys.sendmsg(slot.fd, pieces, count);
    if (took < 0) {
      if (is_transient(took)) break;
      write_failed(core, slot, static_cast<int32_t>(took), Syscall::write);
      return false;
    }
    slot.queue.consume(static_cast<size_t>(took), core.live);
    if (slot.has(kTls)) {
      tls_sent(core, slot, static_cast<size_t>(took), stamp);
    } else {
      sent(core, slot, static_cast<size_t>(took), stamp);
    }
    if (static_cast<size_t>(took) < asked) break;
  }
  if (slot.state != State::open || slot.has(kFailed)) return false;
  update_interest(core, slot);
  return slot.state == State::open;
}

void send_queue(Core& core, Slot& slot, double stamp) {
  if (!write_queue(core, slot, stamp)) return;
  if (slot.has(kTls)) return tls_pump_on(core, slot, nullptr, 0, stamp);
  check_writable(core, slot);
  if (slot.queue.empty()) output_done(core, slot);
}

namespace {

// Sends the pieces of this turn, and `data` behind them, with nothing queued before; what is left is queued.
void send_now(Core& core, Slot& slot, const uint8_t* data, size_t length, double stamp) {
  uint32_t at = slot.piece_head;
  size_t skip = 0;  // bytes of the piece `at` that are gone
  for (;;) {
    iovec pieces[kMostPieces];
    size_t count = 0, asked = 0, skipped = skip;
    uint32_t next = at;
    for (; next != kNoPiece && count < kMostPieces - 1; next = core.piece(next).next) {
      const Core::Piece& piece = core.piece(next);
      pieces[count++] = {core.shared.out_slab + piece.offset + skipped, piece.length - skipped};
      asked += piece.length - skipped;
      skipped = 0;
    }
    if (next == kNoPiece && length > 0) {
      pieces[count++] = {const_cast<uint8_t*>(data), length};
      asked += length;
    }
    if (count == 0) break;
    ssize_t took = count == 1 ? core.sys.send(slot.fd, pieces[0].iov_base, pieces[0].iov_len)
                              : core.sys.sendmsg(slot.fd, pieces, count);
    if (took < 0) {
      if (is_transient(took)) break;
      return write_failed(core, slot, static_cast<int32_t>(took), Syscall::write);
    }
    sent(core, slot, static_cast<size_t>(took), stamp);
    auto left = static_cast<size_t>(took);
    while (left > 0 && at != kNoPiece) {
      size_t rest = core.piece(at).length - skip;
      if (left < rest) {
        skip += left;
        left = 0;
      } else {
        left -= rest;
        skip = 0;
        at = core.piece(at).next;
      }
    }
    data += left;
    length -= left;
    if (static_cast<size_t>(took) < asked) break;
  }
  for (; at != kNoPiece; at = core.piece(at).next) {
    const Core::Piece& piece = core.piece(at);
    slot.queue.append(core.shared.out_slab + piece.offset + skip, piece.length - skip, core.live);
    skip = 0;
  }
  core.forget_pieces(slot);
  slot.queue.append(data, length, core.live);
  if (!slot.queue.empty()) update_interest(core, slot);
  if (slot.state != State::open) return;
  check_writable(core, slot);
  if (slot.queue.empty()) output_done(core, slot);
}

}  // namespace

bool is_reading(const Core& core, const Slot& slot) {
  return slot.has(kWantIn) && slot.has(kRegistered) && !is_paused(core, slot) && !is_muted(core, slot);
}

void fail_stream(Core& core, Slot& slot, int32_t error, Syscall syscall) {
  if (slot.has(kFailed)) return;
  if (!is_reading(core, slot) || !is_over(slot.fd)) return close_stream(core, slot, Ended::error, error, syscall);
  slot.set(kFailed);
  slot.error = error;
  slot.syscall = syscall;
  core.shared.flags[slot.index()] |= kNoWrite;
  slot.unset(kWantWritable);
  slot.queue.clear(core.live);
  core.forget_pieces(slot);
  update_interest(core, slot);
}

int32_t take_error(Core& core, Slot& slot, int32_t error) {
  if (slot.has(kFailed) || (slot.state == State::closed && slot.ended == Ended::error)) return slot.error;
  if (error != 0 && slot.state == State::open && is_over(slot.fd)) fail_stream(core, slot, error, Syscall::read);
  return error;
}

// Errors and hang-ups are told also while nothing is read, for ever: an error ends the connection, and what is none
// lies in the error queue; a hang-up takes it from the poller until it reads again.
void hung_up(Core& core, Slot& slot, uint32_t interest) {
  if (slot.has(kFailed)) return close_stream(core, slot, Ended::error, slot.error, slot.syscall);
  if (interest & kError) {
    if (int error = socket_error(slot.fd); error != 0) {
      return close_stream(core, slot, Ended::error, error, Syscall::read);
    }
  }
  const bool explained = (interest & kError) && core.sys.drop_errors(slot.fd) > 0;
  if ((interest & (kError | kHangUp)) && !explained && slot.queue.empty()) slot.set(kParked);
  update_interest(core, slot);
}

namespace {

void read_ready(Core& core, Slot& slot, uint32_t interest) {
  if (!slot.has(kWantIn)) return hung_up(core, slot, interest);
  if (slot.has(kSkipRead)) return slot.unset(kSkipRead);
  uint8_t& flags = core.shared.flags[slot.index()];
  const bool finishing = slot.has(kFinishing);
  if ((flags & kPaused) && !finishing) {
    // `pause` itself is but a bit; the poller hears of it when there is something not to read.
    flags |= kNeedsResume;
    slot.unset(kWantIn);
    return hung_up(core, slot, interest);
  }
  ssize_t got = core.sys.recv(slot.fd, core.slab_room(kReadQuota), kReadQuota);
  if (got > 0) {
    core.count(kBytesIn, static_cast<double>(got));
    slot.last_read = core.now;
    if (finishing) {
      core.keep_slab(0);
    } else {
      core.emit(Event::data, 0, slot.handle, core.keep_slab(static_cast<size_t>(got)), static_cast<int32_t>(got));
    }
    return;
  }
  core.keep_slab(0);
  if (slot.has(kFailed)) return close_stream(core, slot, Ended::error, slot.error, slot.syscall);
  if (got < 0) {
    if (!is_transient(got)) close_stream(core, slot, Ended::error, static_cast<int32_t>(got), Syscall::read);
    return;
  }
  if (!finishing && (slot.has(kHalfOpen) || slot.queue.empty())) {
    core.emit(Event::fin, 0, slot.handle, 0, 0);
    return;
  }
  slot.set(kPeerFin);
  slot.unset(kWantIn);
  if (finishing && slot.has(kShutDone)) {
    close_stream(core, slot, Ended::local, 0, Syscall::none);
  } else {
    update_interest(core, slot);
  }
}

void finish_connect(Core& core, Slot& slot) {
  if (int error = socket_error(slot.fd); error != 0) {
    close_stream(core, slot, Ended::error, error, Syscall::connect);
  } else {
    stream_connected(core, slot);
  }
}

}  // namespace

void update_interest(Core& core, Slot& slot) {
  uint32_t want = 0;
  if (slot.state == State::connecting) {
    want = kOut;
  } else {
    if (slot.has(kWantIn)) want |= kIn;
    if (!slot.queue.empty() || (slot.has(kTls) && tls_wants_out(slot))) want |= kOut;
  }
  // What is to be sent is refused by a connection that is gone, and waits for the poller on any other.
  if (want & kOut) slot.unset(kParked);
  int error = 0;
  if (slot.has(kParked)) {
    if (slot.has(kRegistered)) leave_poller(core, slot);
    want = 0;
  } else if (!slot.has(kRegistered)) {
    error = core.poller.add(slot.fd, slot.handle, want);
    if (error == 0) {
      slot.set(kRegistered);
      if (!slot.has(kKept)) core.descriptors.polled(slot.fd, slot.handle);
    }
  } else if (slot.interest != want) {
    error = core.poller.change(slot.fd, slot.handle, want);
  }
  slot.interest = static_cast<uint8_t>(want);
  if (error != 0) not_polled(core, slot, error);
}

void check_writable(Core& core, Slot& slot) {
  if (!slot.has(kWantWritable) || core.shared.outbound[slot.index()] > slot.low_water) return;
  slot.unset(kWantWritable);
  core.defer(slot, kDueWritable);
}

void output_done(Core& core, Slot& slot) {
  if (slot.has(kTls) && !tls_output_done(core, slot)) return;
  if (slot.has(kShutWanted) && !slot.has(kShutDone)) {
    slot.set(kShutDone);
    // Fails only where the connection is gone, which reading will tell.
    shutdown(slot.fd, SHUT_WR);
    core.sys.calls++;
  }
  if (slot.has(kDetaching)) {
    close_stream(core, slot, Ended::detached, 0, Syscall::none);
  } else if (slot.has(kFinishing) || (slot.has(kEndDelivered) && slot.has(kShutDone))) {
    if (slot.has(kPeerFin | kEndDelivered)) close_stream(core, slot, Ended::local, 0, Syscall::none);
  } else if (slot.has(kPeerFin)) {
    uint8_t& flags = core.shared.flags[slot.index()];
    if (flags & kPaused) {
      flags |= kNeedsResume;
    } else {
      close_stream(core, slot, slot.has(kShutDone) ? Ended::local : Ended::peer, 0, Syscall::none);
    }
  }
}

// Output -------------------------------------------------------------------------------------------------------------

bool takes_output(const Slot& slot) {
  return slot.kind == Kind::stream && slot.state != State::closed && !slot.has(kShutWanted | kDetaching | kFailed);
}

void queue_pieces(Core& core, Slot& slot) {
  for (uint32_t at = slot.piece_head; at != kNoPiece; at = core.piece(at).next) {
    const Core::Piece& piece = core.piece(at);
    slot.queue.append(core.shared.out_slab + piece.offset, piece.length, core.live);
  }
  core.forget_pieces(slot);
}

// A connection the poller watches for output has been refused before: what is new waits in line.
static bool must_wait(const Slot& slot) {
  return slot.state == State::connecting || (slot.has(kRegistered) && (slot.interest & kOut));
}

// What may be waiting for output to be sent.
constexpr uint32_t kAfterOutput = kShutWanted | kDetaching | kPeerFin | kEndDelivered | kWantWritable;

// Nearly every flush is this: one piece, with nothing before it.
static void send_piece(Core& core, Slot& slot, double stamp) {
  const Core::Piece& piece = core.piece(slot.piece_head);
  const uint8_t* data = core.shared.out_slab + piece.offset;
  ssize_t took = core.sys.send(slot.fd, data, piece.length);
  if (took < 0) {
    if (!is_transient(took)) return write_failed(core, slot, static_cast<int32_t>(took), Syscall::write);
    took = 0;
  }
  core.forget_pieces(slot);
  const auto gone = static_cast<size_t>(took);
  if (gone > 0) sent(core, slot, gone, stamp);
  if (gone < piece.length) {
    slot.queue.append(data + gone, piece.length - gone, core.live);
    update_interest(core, slot);
  }
  if (!slot.has(kAfterOutput) || slot.state != State::open) return;
  check_writable(core, slot);
  if (slot.queue.empty()) output_done(core, slot);
}

void flush_stream(Core& core, Slot& slot, double stamp) {
  if (slot.has(kTls)) return tls_pump(core, slot, nullptr, 0, stamp);
  if (slot.state == State::closed || slot.has(kFailed)) return core.forget_pieces(slot);
  const bool one = slot.piece_head != kNoPiece && slot.piece_head == slot.piece_tail;
  if (one && slot.state == State::open && slot.queue.empty()) return send_piece(core, slot, stamp);
  if (must_wait(slot)) {
    queue_pieces(core, slot);
  } else if (!slot.queue.empty()) {
    queue_pieces(core, slot);
    send_queue(core, slot, stamp);
  } else if (slot.piece_head != kNoPiece) {
    send_now(core, slot, nullptr, 0, stamp);
  }
}

void write_stream(Core& core, Slot& slot, const uint8_t* data, size_t length) {
  if (!takes_output(slot)) return;
  auto bytes = static_cast<double>(length);
  core.shared.outbound[slot.index()] += bytes;
  core.count(kTotalOutbound, bytes);
  if (slot.has(kTls)) return tls_pump(core, slot, data, length, monotonic_now());
  if (must_wait(slot) || !slot.queue.empty()) {
    queue_pieces(core, slot);
    slot.queue.append(data, length, core.live);
    core.mark_dirty(slot);
  } else {
    send_now(core, slot, data, length, monotonic_now());
  }
}

// Input --------------------------------------------------------------------------------------------------------------

void stream_ready(Core& core, Slot& slot, uint32_t interest) {
  if (slot.state == State::connecting) return finish_connect(core, slot);
  if (slot.has(kTls)) {
    tls_ready(core, slot, interest);
  } else {
    if (interest & ~kOut) read_ready(core, slot, interest);
    if (slot.state == State::open && (interest & kOut) && !slot.queue.empty()) send_queue(core, slot, core.now);
  }
  // An error that neither reading nor writing has met is a message in the error queue, which would be told for ever.
  if ((interest & kError) && slot.state == State::open) core.sys.drop_errors(slot.fd);
}

void hold(Core& core, Slot& slot, int32_t offset, int32_t length) {
  const bool detached = slot.state == State::closed && slot.ended == Ended::detached;
  if (slot.kind != Kind::stream || (slot.state != State::open && !detached) || slot.has(kFinishing)) return;
  uint32_t before = slot.unread == nullptr ? 0 : slot.unread->size;
  uint32_t after = before + static_cast<uint32_t>(length);
  auto* unread = static_cast<Unread*>(realloc(slot.unread, sizeof(Unread) + after));
  if (unread == nullptr) abort();
  if (slot.unread == nullptr) core.live.unread++;
  slot.unread = unread;
  unread->size = after;
  memcpy(unread->bytes() + before, core.shared.event_slab + offset, static_cast<size_t>(length));
  if (detached) return;
  core.shared.flags[slot.index()] |= kNeedsResume;
  slot.unset(kWantIn);
  update_interest(core, slot);
}

bool emit_unread(Core& core, Slot& slot) {
  uint8_t& flags = core.shared.flags[slot.index()];
  if (slot.unread == nullptr || slot.state != State::open || (flags & kPaused)) {
    slot.due &= static_cast<uint8_t>(~kDueUnread);
    // Paused again since it was resumed: the bytes stay, and the next `resume` has to ask for them.
    if (slot.unread != nullptr && (flags & kPaused)) flags |= kNeedsResume;
    return true;
  }
  size_t size = slot.unread->size;
  uint8_t* room = core.slab_room(size);
  if (room == nullptr) return false;
  slot.due &= static_cast<uint8_t>(~kDueUnread);
  memcpy(room, slot.unread->bytes(), size);
  core.emit(Event::data, 0, slot.handle, core.keep_slab(size), static_cast<int32_t>(size));
  free(slot.unread);
  slot.unread = nullptr;
  core.live.unread--;
  if (slot.has(kTls) && !tls_delivered(core, slot)) return true;
  slot.set(kWantIn | kSkipRead);
  slot.unset(kParked);
  update_interest(core, slot);
  return true;
}

}  // namespace em
