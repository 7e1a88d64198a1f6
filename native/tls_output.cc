// Sealing: from the program's bytes and files to records, and from records to the kernel.
#include <string.h>

#include <algorithm>

#include "stream_io.h"
#include "tls_core.h"
#include "tls_stream.h"

namespace em {

namespace {

constexpr int64_t kSealQuota = 256 * 1024;  // of one connection in one turn
constexpr size_t kMostParts = 64;
constexpr int kLastAttempts = 8;
constexpr int64_t kFilePart = 128 * 1024;

size_t total_of(const iovec* parts, size_t count) {
  size_t total = 0;
  for (size_t i = 0; i < count; i++) total += parts[i].iov_len;
  return total;
}

bool is_blocked(const TlsSession& session) {
  return !session.slot.queue.empty() || session.needs_input || session.write_error != 0 || !session.is_secured();
}

void tell_files(TlsSession& session) {
  auto& ends = session.file_ends;
  size_t gone = 0;
  while (gone < ends.size() && ends[gone] <= session.wire_out) gone++;
  if (gone == 0) return;
  ends.erase(ends.begin(), ends.begin() + static_cast<ptrdiff_t>(gone));
  session.slot.files_sent += static_cast<uint32_t>(gone);
  session.core.defer(session.slot, kDueFileSent);
}

// Counts plaintext as sent in proportion to its records, and all of it with their last byte.
void records_sent(TlsSession& session, size_t length) {
  const auto waiting = static_cast<double>(session.wire_in - session.wire_out);
  const double plaintext = session.sealed + session.sealed_of_files;
  const auto gone = static_cast<double>(length);
  const double bytes =
      gone >= waiting ? plaintext : static_cast<double>(static_cast<int64_t>(plaintext * gone / waiting));
  const double of_program = std::min(bytes, session.sealed);
  session.sealed -= of_program;
  session.sealed_of_files -= bytes - of_program;
  session.wire_out += length;
  session.core.shared.outbound[session.slot.index()] -= of_program;
  session.core.count(kTotalOutbound, -of_program);
  session.core.count(kBytesOut, bytes);
  if (!session.file_ends.empty()) tell_files(session);
}

}  // namespace

// Bytes for the wire, behind all that waits for it: OpenSSL's records, or what it was made to hold.
void tls_put(TlsSession& session, const uint8_t* data, size_t length) {
  Core& core = session.core;
  Slot& slot = session.slot;
  TlsCore& shared = *core.tls;
  session.wire_in += length;
  if (session.write_error != 0 || slot.fd < 0) {
    session.wire_out += length;
    return;
  }
  if (session.sends_directly && shared.wire_used == 0 && slot.queue.empty()) {
    ssize_t took = core.sys.send(slot.fd, data, length);
    if (took < 0 && !is_transient(took)) return tls_write_failed(core, slot, took);
    if (took > 0) tls_sent(core, slot, static_cast<size_t>(took), shared.stamp);
    const size_t gone = took > 0 ? static_cast<size_t>(took) : 0;
    if (gone < length) slot.queue.append(data + gone, length - gone, core.live);
    return;
  }
  while (length > 0) {
    if (shared.wire_used == kWireSize) tls_send_wire(session);
    const size_t part = std::min(length, kWireSize - shared.wire_used);
    memcpy(shared.wire + shared.wire_used, data, part);
    shared.wire_used += part;
    data += part;
    length -= part;
  }
}

namespace {

// Makes one record. Returns false where OpenSSL takes nothing now, or never again.
bool seal(TlsSession& session, const uint8_t* data, size_t length, double& count) {
  count += static_cast<double>(length);
  size_t written = 0;
  int result = SSL_write_ex(session.ssl, data, length, &written);
  if (result == 1 && written == length) return true;
  count -= static_cast<double>(length);
  if (result != 1 && SSL_get_error(session.ssl, result) == SSL_ERROR_WANT_READ) {
    session.needs_input = true;
  } else {
    tls_failed(session.core, session.slot);
  }
  return false;
}

// Makes records of the parts, as large as they can be, until the kernel takes no more; returns how many bytes of them
// are sealed.
size_t seal_parts(TlsSession& session, iovec* parts, size_t count, double& counter) {
  TlsCore& shared = *session.core.tls;
  const size_t total = total_of(parts, count);
  size_t done = 0, at = 0;
  session.sends_directly = total <= kMostPlaintext && shared.wire_used == 0;
  while (done < total && !is_blocked(session)) {
    while (parts[at].iov_len == 0) at++;
    size_t size = std::min(parts[at].iov_len, kMostPlaintext);
    const auto* data = static_cast<const uint8_t*>(parts[at].iov_base);
    if (size < kMostPlaintext && at + 1 < count) {
      size = 0;
      for (size_t i = at; i < count && size < kMostPlaintext; i++) {
        const size_t part = std::min(parts[i].iov_len, kMostPlaintext - size);
        memcpy(shared.record + size, parts[i].iov_base, part);
        size += part;
      }
      data = shared.record;
    }
    if (!seal(session, data, size, counter)) break;
    done += size;
    for (size_t left = size; left > 0;) {
      const size_t part = std::min(left, parts[at].iov_len);
      parts[at].iov_base = static_cast<uint8_t*>(parts[at].iov_base) + part;
      parts[at].iov_len -= part;
      left -= part;
      if (left > 0) at++;
    }
    if (shared.wire_used + kMostPlaintext + kRecordOverhead > kWireSize) tls_send_wire(session);
  }
  session.sends_directly = false;
  return done;
}

// Seals what is read of the file in front, or has more of it read. Returns whether the queue can go on.
bool pump_file(TlsSession& session, Chunk& file, int64_t& quota) {
  Core& core = session.core;
  if (session.file != nullptr) {
    iovec part = {session.file.get() + session.file_at,
                  static_cast<size_t>(std::min<int64_t>(session.file_size - session.file_at, quota))};
    const size_t sealed = seal_parts(session, &part, 1, session.sealed_of_files);
    if (session.slot.state != State::open) return false;
    session.file_at += static_cast<uint32_t>(sealed);
    file.offset += static_cast<int64_t>(sealed);
    file.left -= static_cast<int64_t>(sealed);
    quota -= static_cast<int64_t>(sealed);
    if (session.file_at < session.file_size) return false;
    session.file.reset();
  }
  if (file.left == 0) {
    session.file_ends.push_back(session.wire_in);
    session.plain.drop_front(core.live);
    return true;
  }
  if (session.file_asked || quota <= 0) return false;
  session.file_asked = true;
  core.files->read(session.slot.handle, file.file, file.offset,
                   core.sys.shortened_read(std::min(file.left, kFilePart)));
  return false;
}

void queue_all(TlsSession& session, const uint8_t* data, size_t length) {
  Core& core = session.core;
  Slot& slot = session.slot;
  for (uint32_t at = slot.piece_head; at != kNoPiece; at = core.piece(at).next) {
    const Core::Piece& piece = core.piece(at);
    session.plain.append(core.shared.out_slab + piece.offset, piece.length, core.live);
  }
  core.forget_pieces(slot);
  session.plain.append(data, length, core.live);
}

// Nearly every flush is this: a few pieces with nothing before them. Returns false where it was not.
bool pump_pieces(TlsSession& session, const uint8_t* data, size_t length) {
  Core& core = session.core;
  Slot& slot = session.slot;
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
  seal_parts(session, parts, count, session.sealed);
  if (slot.state != State::open) return true;
  for (size_t i = 0; i < count; i++) session.plain.append(parts[i].iov_base, parts[i].iov_len, core.live);
  return true;
}

void pump_queue(TlsSession& session) {
  int64_t quota = kSealQuota;
  while (!session.plain.empty() && quota > 0 && !is_blocked(session)) {
    if (Chunk* file = session.plain.front_file(); file != nullptr) {
      if (!pump_file(session, *file, quota)) break;
      continue;
    }
    iovec parts[kMostParts];
    const size_t count = session.plain.gather(parts, kMostParts);
    const size_t sealed = seal_parts(session, parts, count, session.sealed);
    if (session.slot.state != State::open) return;
    session.plain.consume(sealed, session.core.live);
    quota -= static_cast<int64_t>(sealed);
  }
}

// What may be waiting for output to be sent.
constexpr uint32_t kAfterOutput = kShutWanted | kPeerFin | kEndDelivered | kWantWritable;

}  // namespace

void tls_begin(TlsSession& session, double stamp) {
  session.core.tls->stamp = stamp;
  // OpenSSL reads its answers off a queue that others may have left something in.
  if (ERR_peek_error() != 0) ERR_clear_error();
}

void tls_sent(Core& core, Slot& slot, size_t length, double stamp) {
  TlsSession& session = *slot.tls;
  slot.last_write = stamp;
  if (session.clear_left > 0) {
    const double clear = std::min(session.clear_left, static_cast<double>(length));
    session.clear_left -= clear;
    core.shared.outbound[slot.index()] -= clear;
    core.count(kTotalOutbound, -clear);
    core.count(kBytesOut, clear);
    length -= static_cast<size_t>(clear);
  }
  if (length > 0) records_sent(session, length);
}

void tls_send_wire(TlsSession& session) {
  Core& core = session.core;
  Slot& slot = session.slot;
  TlsCore& shared = *core.tls;
  const size_t length = shared.wire_used;
  shared.wire_used = 0;
  if (length == 0) return;
  size_t gone = 0;
  if (session.write_error != 0 || slot.fd < 0) {
    session.wire_out += length;
    return;
  }
  if (slot.queue.empty()) {
    ssize_t took = core.sys.send(slot.fd, shared.wire, length);
    if (took < 0 && !is_transient(took)) return tls_write_failed(core, slot, took);
    if (took > 0) {
      gone = static_cast<size_t>(took);
      tls_sent(core, slot, gone, shared.stamp);
    }
  }
  if (gone == length) return;
  slot.queue.append(shared.wire + gone, length - gone, core.live);
  if (slot.state == State::open) update_interest(core, slot);
}

void tls_send_last(TlsSession& session) {
  Core& core = session.core;
  Slot& slot = session.slot;
  tls_send_wire(session);
  // The kernel has room for it, unless much is waiting there already.
  for (int i = 0; i < kLastAttempts && !slot.queue.empty() && slot.queue.front_file() == nullptr; i++) {
    iovec parts[kMostParts];
    const size_t count = slot.queue.gather(parts, kMostParts);
    const ssize_t took = core.sys.sendmsg(slot.fd, parts, count);
    if (took < 0 && !is_transient(took)) return;
    if (took > 0) {
      slot.queue.consume(static_cast<size_t>(took), core.live);
      tls_sent(core, slot, static_cast<size_t>(took), core.tls->stamp);
    }
  }
}

void tls_write_failed(Core& core, Slot& slot, ssize_t error) {
  TlsSession& session = *slot.tls;
  if (session.write_error != 0) return;
  // A peer that refuses us says why before it goes: what it said is read first.
  session.write_error = static_cast<int32_t>(error);
  session.wire_out = session.wire_in;
  slot.queue.clear(core.live);
  if (slot.state == State::open) core.defer(slot, kDueTls);
}

void tls_send_file(Core& core, Slot& slot, int fd, int64_t offset, int64_t length) {
  queue_all(*slot.tls, nullptr, 0);
  slot.tls->plain.append_file(fd, offset, length, core.live);
}

bool tls_has_plain(const Slot& slot) { return !slot.tls->plain.empty(); }

bool tls_wants_out(const Slot& slot) {
  TlsSession& session = *slot.tls;
  if (session.plain.empty() || is_blocked(session)) return false;
  return session.plain.front_file() == nullptr || !session.file_asked;
}

void tls_pump(Core& core, Slot& slot, const uint8_t* data, size_t length, double stamp) {
  TlsSession& session = *slot.tls;
  if (slot.state == State::closed) return core.forget_pieces(slot);
  if (!slot.queue.empty() && (slot.interest & kOut) == 0) {
    queue_all(session, data, length);
    return send_queue(core, slot, stamp);  // which ends here again
  }
  tls_begin(session, stamp);
  if (!session.plain.empty() || is_blocked(session) || !pump_pieces(session, data, length)) {
    queue_all(session, data, length);
  }
  if (slot.state == State::open && !session.plain.empty()) pump_queue(session);
  tls_send_wire(session);
  if (slot.state != State::open) return;
  if (!session.file_ends.empty()) tell_files(session);
  if (!slot.queue.empty() || !session.plain.empty() || (slot.interest & kOut)) {
    update_interest(core, slot);
    if (slot.state != State::open) return;
  }
  if (!slot.has(kAfterOutput)) return;
  check_writable(core, slot);
  if (slot.queue.empty() && session.plain.empty()) output_done(core, slot);
}

bool tls_output_done(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  if (session.phase == TlsSession::Phase::abandoned) return slot.queue.empty();
  if (!session.is_secured() || !session.plain.empty() || session.write_error != 0) return false;
  if (slot.has(kShutWanted) && !session.notified) {
    session.notified = true;
    tls_begin(session, monotonic_now());
    SSL_shutdown(session.ssl);
    tls_send_wire(session);
    ERR_clear_error();
    if (slot.state == State::open && !slot.queue.empty()) update_interest(core, slot);
  }
  return slot.state == State::open && slot.queue.empty() && session.write_error == 0;
}

void tls_file_read(Core& core, int32_t handle, std::unique_ptr<uint8_t[]> bytes, int64_t size) {
  Slot* slot = core.slots.find(handle);
  if (slot == nullptr || slot->kind != Kind::stream || !slot->has(kTls) || slot->state != State::open) return;
  TlsSession& session = *slot->tls;
  session.file_asked = false;
  // What came before goes out first: the file is asked again when the kernel has it.
  if (size <= 0 && !slot->queue.empty()) return;
  if (size == 0) return close_stream(core, *slot, Ended::fileTruncated, 0, Syscall::read);
  if (size < 0) return close_stream(core, *slot, Ended::error, static_cast<int32_t>(size), Syscall::read);
  session.file = std::move(bytes);
  session.file_at = 0;
  session.file_size = static_cast<uint32_t>(size);
  core.mark_dirty(*slot);
}

// The transport under OpenSSL
// ------------------------------------------------------------------------------------------

namespace {

int transport_write(BIO* bio, const char* data, int length) {
  auto& session = *static_cast<TlsSession*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (session.hold_output) {
    session.held.append(data, static_cast<size_t>(length));
  } else {
    tls_put(session, reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(length));
  }
  return length;  // what the kernel does not take is queued
}

// Straight from the kernel into OpenSSL's own buffer.
int transport_read(BIO* bio, char* to, int room) {
  auto& session = *static_cast<TlsSession*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (session.early_at < session.early.size()) {
    const size_t part = std::min(static_cast<size_t>(room), session.early.size() - session.early_at);
    memcpy(to, session.early.data() + session.early_at, part);
    session.early_at += static_cast<uint32_t>(part);
    if (session.early_at == session.early.size()) {
      session.early = std::string();
      session.early_at = 0;
    }
    return static_cast<int>(part);
  }
  const size_t asked = std::min(static_cast<size_t>(room), size_t{session.may_read});
  if (asked > 0 && !session.kernel_empty) {
    const ssize_t got = session.core.sys.recv(session.slot.fd, to, asked);
    if (got > 0) {
      session.may_read -= static_cast<uint32_t>(got);
      session.kernel_empty = static_cast<size_t>(got) < asked;
      session.slot.last_read = session.core.now;
      return static_cast<int>(got);
    }
    session.kernel_empty = true;
    if (got == 0) {
      // OpenSSL is not told: it would write nothing more, and a peer that has ended may still be answered.
      session.fin = true;
    } else if (!is_transient(got)) {
      session.read_error = static_cast<int32_t>(got);
    }
  }
  BIO_set_retry_read(bio);
  return -1;
}

long transport_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

}  // namespace

BIO_METHOD* make_transport() {
  BIO_METHOD* method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "eventmachine");
  BIO_meth_set_write(method, transport_write);
  BIO_meth_set_read(method, transport_read);
  BIO_meth_set_ctrl(method, transport_control);
  return method;
}

}  // namespace em
