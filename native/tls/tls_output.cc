#include "tls/tls_output.h"

#include <string.h>

#include <algorithm>

#include "net/stream_ends.h"
#include "net/stream_io.h"
#include "tls/tls_core.h"
#include "tls/tls_ends.h"
#include "tls/tls_wire.h"

namespace em {

namespace {

constexpr size_t kMostParts = 64;

size_t total_of(const iovec* parts, size_t count) {
  size_t total = 0;
  for (size_t i = 0; i < count; i++) total += parts[i].iov_len;
  return total;
}

bool is_blocked(const TlsConnection& tls) {
  return !tls.slot.queue.empty() || tls.needs_input || tls.write_error != 0 || !tls.is_secured();
}

// Makes one record, which may be of less than `length`: a peer may have asked for small ones. Returns how much is
// sealed: 0 where OpenSSL takes nothing now, or never again.
size_t seal(TlsConnection& tls, const uint8_t* data, size_t length, double& counter) {
  size_t written = 0;
  const int result = SSL_write_ex(tls.ssl, data, length, &written);
  if (result == 1) counter += static_cast<double>(written);
  tls_settle_direct(tls);
  if (result == 1 && written > 0) {
    // OpenSSL makes every record as long as it may be.
    if (written < length) tls.most_plaintext = static_cast<uint32_t>(written);
    return written;
  }
  if (result != 1 && SSL_get_error(tls.ssl, result) == SSL_ERROR_WANT_READ) {
    tls.needs_input = true;
  } else {
    tls_failed(tls.core, tls.slot);
  }
  return 0;
}

// Makes records of the parts, as large as they can be, until the kernel takes no more; returns how many bytes of them
// are sealed.
size_t seal_parts(TlsConnection& tls, iovec* parts, size_t count, double& counter) {
  TlsCore& shared = *tls.core.tls;
  const size_t total = total_of(parts, count);
  size_t done = 0, at = 0;
  tls.sends_directly = total <= tls.most_plaintext && shared.wire_used == 0;
  while (done < total && !is_blocked(tls)) {
    while (parts[at].iov_len == 0) at++;
    const size_t most = tls.most_plaintext;
    size_t size = std::min(parts[at].iov_len, most);
    const auto* data = static_cast<const uint8_t*>(parts[at].iov_base);
    if (size < most && at + 1 < count) {
      size = 0;
      for (size_t i = at; i < count && size < most; i++) {
        const size_t part = std::min(parts[i].iov_len, most - size);
        memcpy(shared.record + size, parts[i].iov_base, part);
        size += part;
      }
      data = shared.record;
    }
    const size_t sealed = seal(tls, data, size, counter);
    if (sealed == 0) break;
    tls.sends_directly = false;  // the rest of what is longer than a record leaves at once
    done += sealed;
    for (size_t left = sealed; left > 0;) {
      const size_t part = std::min(left, parts[at].iov_len);
      parts[at].iov_base = static_cast<uint8_t*>(parts[at].iov_base) + part;
      parts[at].iov_len -= part;
      left -= part;
      if (left > 0) at++;
    }
    if (shared.wire_used + kMostPlaintext + kRecordOverhead > kWireSize) tls_send_wire(tls);
  }
  tls.sends_directly = false;
  return done;
}

// Seals what is read of the file in front, or has more of it read. Returns whether the queue can go on.
bool pump_file(TlsConnection& tls, Chunk& file, int64_t& quota) {
  Core& core = tls.core;
  if (tls.file != nullptr) {
    iovec part = {tls.file.get() + tls.file_at,
                  static_cast<size_t>(std::min<int64_t>(tls.file_size - tls.file_at, quota))};
    const size_t sealed = seal_parts(tls, &part, 1, tls.sealed_of_files);
    if (tls.slot.state != State::open) return false;
    tls.file_at += static_cast<uint32_t>(sealed);
    file.offset += static_cast<int64_t>(sealed);
    file.left -= static_cast<int64_t>(sealed);
    quota -= static_cast<int64_t>(sealed);
    if (tls.file_at < tls.file_size) return false;
    tls.file.reset();
  }
  if (file.left == 0) {
    tls.file_ends.push_back(tls.wire_in);
    tls.plain.drop_front(core.live);
    return true;
  }
  if (tls.file_asked || quota <= 0) return false;
  tls.file_asked = true;
  core.files->read(tls.slot.handle, file.file, file.offset,
                   core.sys.shortened_read(std::min<int64_t>(file.left, kFilePart)));
  return false;
}

void queue_all(TlsConnection& tls, const uint8_t* data, size_t length) {
  Core& core = tls.core;
  Slot& slot = tls.slot;
  for (uint32_t at = slot.piece_head; at != kNoPiece; at = core.piece(at).next) {
    const Core::Piece& piece = core.piece(at);
    tls.plain.append(core.shared.out_slab + piece.offset, piece.length, core.live);
  }
  core.forget_pieces(slot);
  tls.plain.append(data, length, core.live);
}

// Nearly every flush is this: a few pieces with nothing before them. Returns false where it was not.
bool pump_pieces(TlsConnection& tls, const uint8_t* data, size_t length) {
  Core& core = tls.core;
  Slot& slot = tls.slot;
  iovec parts[kMostParts];
  size_t count = 0;
  for (uint32_t at = slot.piece_head; at != kNoPiece; at = core.piece(at).next) {
    if (count == kMostParts - 1) return false;
    const Core::Piece& piece = core.piece(at);
    parts[count++] = {core.shared.out_slab + piece.offset, piece.length};
  }
  if (length > 0) parts[count++] = {const_cast<uint8_t*>(data), length};
  if (count == 0) return true;
  core.forget_pieces(slot);
  seal_parts(tls, parts, count, tls.sealed);
  if (slot.state != State::open) return true;
  for (size_t i = 0; i < count; i++) tls.plain.append(parts[i].iov_base, parts[i].iov_len, core.live);
  return true;
}

void pump_queue(TlsConnection& tls) {
  int64_t quota = kFileQuota;  // of bytes as of files: a record of either costs the same
  while (!tls.plain.empty() && quota > 0 && !is_blocked(tls)) {
    if (Chunk* file = tls.plain.front_file(); file != nullptr) {
      if (!pump_file(tls, *file, quota)) break;
      continue;
    }
    iovec parts[kMostParts];
    const size_t count = tls.plain.gather(parts, kMostParts);
    const size_t sealed = seal_parts(tls, parts, count, tls.sealed);
    if (tls.slot.state != State::open) return;
    tls.plain.consume(sealed, tls.core.live);
    quota -= static_cast<int64_t>(sealed);
  }
}

// Sends the pieces of this turn, and `data` behind them, behind all that waits; what the kernel does not take is
// queued.
void pump(Core& core, Slot& slot, const uint8_t* data, size_t length, double stamp) {
  TlsConnection& tls = *slot.tls;
  if (!slot.queue.empty() && (slot.interest & kOut) == 0) {
    queue_all(tls, data, length);
    if (!write_queue(core, slot, stamp)) return;
    data = nullptr;
    length = 0;
  }
  tls_begin(tls, stamp);
  if (!tls.plain.empty() || is_blocked(tls) || !pump_pieces(tls, data, length)) queue_all(tls, data, length);
  if (slot.state == State::open && !tls.plain.empty()) pump_queue(tls);
  tls_send_wire(tls);
  if (slot.state != State::open) return;
  if (!tls.file_ends.empty()) tls_report_files(tls);
  if (!slot.queue.empty() || !tls.plain.empty() || (slot.interest & kOut)) update_interest(core, slot);
  if (slot.has(kAfterOutput)) after_output(core, slot);
}

}  // namespace

void tls_flush(Core& core, Slot& slot, double stamp) {
  if (slot.state == State::closed) return core.forget_pieces(slot);
  pump(core, slot, nullptr, 0, stamp);
}

void tls_write(Core& core, Slot& slot, const uint8_t* data, size_t length) {
  pump(core, slot, data, length, monotonic_now());
}

void tls_append_file(Core& core, Slot& slot, int fd, int64_t offset, int64_t length) {
  queue_all(*slot.tls, nullptr, 0);
  slot.tls->plain.append_file(fd, offset, length, core.live);
}

bool tls_has_plain(const Slot& slot) { return !slot.tls->plain.empty(); }

bool tls_wants_out(const Slot& slot) {
  TlsConnection& tls = *slot.tls;
  if (tls.plain.empty() || is_blocked(tls)) return false;
  return tls.plain.front_file() == nullptr || !tls.file_asked;
}

void tls_file_read(Core& core, int32_t handle, std::unique_ptr<uint8_t[]> bytes, int64_t size) {
  Slot* slot = core.slots.find(handle);
  if (slot == nullptr || slot->kind != Kind::stream || !slot->has(kTls) || slot->state != State::open) return;
  TlsConnection& tls = *slot->tls;
  tls.file_asked = false;
  // What came before goes out first: the file is asked again when the kernel has it.
  if (size <= 0 && !slot->queue.empty()) return;
  if (size == 0) return close_stream(core, *slot, Ended::fileTruncated, 0, Syscall::read);
  if (size < 0) return close_stream(core, *slot, Ended::error, static_cast<int32_t>(size), Syscall::read);
  tls.file = std::move(bytes);
  tls.file_at = 0;
  tls.file_size = static_cast<uint32_t>(size);
  core.mark_dirty(*slot);
}

}  // namespace em
