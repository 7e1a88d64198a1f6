// Connections in clear, over sockets and over files that can be waited for: the kernel's bytes are the program's.
#include <unistd.h>

#include <algorithm>

#include "net/relay.h"
#include "net/socket.h"
#include "net/stream_ends.h"
#include "net/stream_io.h"
#include "net/stream_ops.h"

namespace em {

namespace {

constexpr size_t kMostPieces = 64;  // of one sendmsg

struct SocketCalls {
  static ssize_t read(Sys& sys, int fd, void* to, size_t length) { return sys.recv(fd, to, length); }
  static ssize_t write(Sys& sys, int fd, const void* from, size_t length) { return sys.send(fd, from, length); }
  static ssize_t writev(Sys& sys, int fd, iovec* pieces, size_t count) { return sys.sendmsg(fd, pieces, count); }
};

struct FileCalls {
  // The master of a pseudo-terminal whose last slave has closed says EIO: that is its end.
  static ssize_t read(Sys& sys, int fd, void* to, size_t length) {
    const ssize_t got = sys.read(fd, to, length);
    return got == -EIO && isatty(fd) ? 0 : got;
  }
  static ssize_t write(Sys& sys, int fd, const void* from, size_t length) { return sys.write(fd, from, length); }
  static ssize_t writev(Sys& sys, int fd, iovec* pieces, size_t count) { return sys.writev(fd, pieces, count); }
};

// Output -------------------------------------------------------------------------------------------------------------

void sent(Core& core, Slot& slot, size_t length, double stamp) {
  auto bytes = static_cast<double>(length);
  core.shared.outbound[slot.index()] -= bytes;
  core.count(kTotalOutbound, -bytes);
  core.count(kBytesOut, bytes);
  slot.last_write = stamp;
}

void send_queue(Core& core, Slot& slot, double stamp) {
  if (write_queue(core, slot, stamp)) after_output(core, slot);
}

// Sends the pieces of this turn, and `data` behind them, with nothing queued before; what is left is queued.
template <class Calls>
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
    ssize_t took = count == 1 ? Calls::write(core.sys, slot.fd, pieces[0].iov_base, pieces[0].iov_len)
                              : Calls::writev(core.sys, slot.fd, pieces, count);
    if (took < 0) {
      if (is_transient(took)) break;
      return fail_stream(core, slot, static_cast<int32_t>(took), Syscall::write);
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
  if (slot.has(kAfterOutput)) after_output(core, slot);
}

// A connection the poller watches for output has been refused before: what is new waits in line.
bool must_wait(const Slot& slot) {
  return slot.state == State::connecting || (slot.has(kRegistered) && (slot.interest & kOut));
}

// Nearly every flush is this: one piece, with nothing before it.
template <class Calls>
void send_piece(Core& core, Slot& slot, double stamp) {
  const Core::Piece& piece = core.piece(slot.piece_head);
  const uint8_t* data = core.shared.out_slab + piece.offset;
  ssize_t took = Calls::write(core.sys, slot.fd, data, piece.length);
  if (took < 0) {
    if (!is_transient(took)) return fail_stream(core, slot, static_cast<int32_t>(took), Syscall::write);
    took = 0;
  }
  core.forget_pieces(slot);
  const auto gone = static_cast<size_t>(took);
  if (gone > 0) sent(core, slot, gone, stamp);
  if (gone < piece.length) {
    slot.queue.append(data + gone, piece.length - gone, core.live);
    update_interest(core, slot);
  }
  if (slot.has(kAfterOutput)) after_output(core, slot);
}

template <class Calls>
void flush(Core& core, Slot& slot, double stamp) {
  if (slot.state == State::closed || slot.has(kFailed)) return core.forget_pieces(slot);
  const bool one = slot.piece_head != kNoPiece && slot.piece_head == slot.piece_tail;
  if (one && slot.state == State::open && slot.queue.empty()) return send_piece<Calls>(core, slot, stamp);
  if (must_wait(slot)) {
    queue_pieces(core, slot);
  } else if (!slot.queue.empty()) {
    queue_pieces(core, slot);
    send_queue(core, slot, stamp);
  } else if (slot.piece_head != kNoPiece) {
    send_now<Calls>(core, slot, nullptr, 0, stamp);
  }
}

template <class Calls>
void write(Core& core, Slot& slot, const uint8_t* data, size_t length) {
  if (must_wait(slot) || !slot.queue.empty()) {
    queue_pieces(core, slot);
    slot.queue.append(data, length, core.live);
    core.mark_dirty(slot);
  } else {
    send_now<Calls>(core, slot, data, length, monotonic_now());
  }
}

void append_file(Core& core, Slot& slot, int fd, int64_t offset, int64_t length) {
  queue_pieces(core, slot);
  slot.queue.append_file(fd, offset, length, core.live);
}

// Input --------------------------------------------------------------------------------------------------------------

template <class Calls>
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
  if (slot.has(kRelays) && !finishing) return relay_ready(core, slot);
  ssize_t got = Calls::read(core.sys, slot.fd, core.slab_room(kReadQuota), kReadQuota);
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
  if (got == 0) return peer_ended(core, slot);
  if (slot.has(kFailed) || !is_transient(got)) read_failed(core, slot, static_cast<int32_t>(got));
}

template <class Calls>
void ready(Core& core, Slot& slot, uint32_t interest) {
  if (interest & ~kOut) read_ready<Calls>(core, slot, interest);
  if (slot.state != State::open || (interest & kOut) == 0) return;
  if (slot.has(kPiped)) {
    send_piped(core, slot);
  } else if (!slot.queue.empty()) {
    send_queue(core, slot, core.now);
  }
}

// What cannot be read knows of its reader's end by an error alone.
void file_ready(Core& core, Slot& slot, uint32_t interest) {
  if (!slot.has(kWriteOnly) || (interest & kError) == 0) return ready<FileCalls>(core, slot, interest);
  if (slot.queue.empty() && core.shared.outbound[slot.index()] == 0) {
    close_stream(core, slot, Ended::peer, 0, Syscall::none);
  } else {
    close_stream(core, slot, Ended::error, -EPIPE, Syscall::write);
  }
}

// Nothing lies between the program and the kernel but the slot's own queue, and the pipe of a relay before it.
template <class Calls>
constexpr StreamOps in_clear() {
  return {
      .ready = ready<Calls>,
      .due = [](Core&, Slot&) { return true; },
      .read_on = [](Core&, Slot&) { return true; },
      .held_delivered = [](Core&, Slot&) { return true; },
      .flush = flush<Calls>,
      .write = write<Calls>,
      .append_file = append_file,
      .has_more_output = [](const Slot& slot) { return slot.has(kPiped); },
      .wants_out = [](const Slot& slot) { return slot.has(kPiped); },
      .send_pieces = send_to_socket,
      .queue_sent = sent,
      .write_failed = fail_stream,
      .keeps_end = false,
      .can_detach = true,
      .may_settle = [](Core&, Slot&) { return true; },
      .output_done = [](Core&, Slot&) { return true; },
      .end_output = end_socket,
      .pending_error = socket_error,
      .finish = [](Core&, Slot&) { return false; },
      .abort = [](Slot&) {},
      .closed = [](Core&, Slot&) {},
      .release = [](Slot&) {},
  };
}

// A file has no way to end one direction but to be closed, and keeps no error.
constexpr StreamOps over_files() {
  StreamOps ops = in_clear<FileCalls>();
  ops.ready = file_ready;
  ops.send_pieces = [](Core& core, const Slot& slot, iovec* pieces, size_t count) {
    return core.sys.writev(slot.fd, pieces, count);
  };
  ops.end_output = [](Core&, const Slot&) {};
  ops.pending_error = [](int) { return 0; };
  return ops;
}

}  // namespace

constexpr StreamOps kPlainOps = in_clear<SocketCalls>();
constexpr StreamOps kFileOps = over_files();

}  // namespace em
