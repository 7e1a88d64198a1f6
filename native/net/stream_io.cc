#include "net/stream_io.h"

#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "net/relay.h"
#include "net/socket.h"
#include "net/stream.h"
#include "net/stream_ends.h"
#include "net/stream_ops.h"

namespace em {

namespace {

constexpr size_t kMostPieces = 64;  // of one sendmsg

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
      if (!is_transient(took)) ops(slot).write_failed(core, slot, static_cast<int32_t>(took), Syscall::sendfile);
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
    if (!slot.queue.empty() || ops(slot).wants_out(slot)) want |= kOut;
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
  if (error == 0) return;
  not_polled(core, slot, error);
  close_stream(core, slot, Ended::error, error, Syscall::epoll_ctl);
}

// Output -------------------------------------------------------------------------------------------------------------

void queue_pieces(Core& core, Slot& slot) {
  for (uint32_t at = slot.piece_head; at != kNoPiece; at = core.piece(at).next) {
    const Core::Piece& piece = core.piece(at);
    slot.queue.append(core.shared.out_slab + piece.offset, piece.length, core.live);
  }
  core.forget_pieces(slot);
}

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
    ssize_t took = ops(slot).send_pieces(core, slot, pieces, count);
    if (took < 0) {
      if (is_transient(took)) break;
      ops(slot).write_failed(core, slot, static_cast<int32_t>(took), Syscall::write);
      return false;
    }
    slot.queue.consume(static_cast<size_t>(took), core.live);
    ops(slot).queue_sent(core, slot, static_cast<size_t>(took), stamp);
    if (static_cast<size_t>(took) < asked) break;
  }
  if (slot.state != State::open || slot.has(kFailed)) return false;
  update_interest(core, slot);
  return slot.state == State::open;
}

ssize_t send_to_socket(Core& core, const Slot& slot, iovec* pieces, size_t count) {
  return core.sys.sendmsg(slot.fd, pieces, count);
}

void end_socket(Core& core, const Slot& slot) {
  // Fails only where the connection is gone, which reading will tell.
  shutdown(slot.fd, SHUT_WR);
  core.sys.calls++;
}

void check_writable(Core& core, Slot& slot) {
  if (!slot.has(kWantWritable) || core.shared.outbound[slot.index()] > slot.low_water) return;
  slot.unset(kWantWritable);
  core.defer(slot, kDueWritable);
}

void after_output(Core& core, Slot& slot) {
  if (slot.state != State::open) return;
  check_writable(core, slot);
  if (slot.has(kAwaited)) relay_drained(core, slot);
  if (slot.state == State::open && !has_output(slot)) output_done(core, slot);
}

// Input --------------------------------------------------------------------------------------------------------------

void stream_ready(Core& core, Slot& slot, uint32_t interest) {
  if (slot.state == State::connecting) return finish_connect(core, slot);
  ops(slot).ready(core, slot, interest);
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
  if (!ops(slot).held_delivered(core, slot)) return true;
  slot.set(kWantIn | kSkipRead);
  slot.unset(kParked);
  update_interest(core, slot);
  return true;
}

}  // namespace em
