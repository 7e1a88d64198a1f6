#include "tls/tls_wire.h"

#include <string.h>

#include <algorithm>

#include "net/stream_io.h"
#include "tls/tls_core.h"

namespace em {

namespace {

constexpr size_t kMostParts = 64;
constexpr int kLastAttempts = 8;

// Counts plaintext as sent in proportion to its records, and all of it with their last byte.
void records_sent(TlsConnection& tls, size_t length) {
  const auto waiting = static_cast<double>(tls.wire_in - tls.wire_out);
  const double plaintext = tls.sealed + tls.sealed_of_files;
  const auto gone = static_cast<double>(length);
  const double bytes =
      gone >= waiting ? plaintext : static_cast<double>(static_cast<int64_t>(plaintext * gone / waiting));
  const double of_program = std::min(bytes, tls.sealed);
  tls.sealed -= of_program;
  tls.sealed_of_files -= bytes - of_program;
  tls.wire_out += length;
  tls.core.shared.outbound[tls.slot.index()] -= of_program;
  tls.core.count(kTotalOutbound, -of_program);
  tls.core.count(kBytesOut, bytes);
  if (!tls.file_ends.empty()) tls_report_files(tls);
}

}  // namespace

void tls_begin(TlsConnection& tls, double stamp) {
  tls.core.tls->stamp = stamp;
  // OpenSSL reads its answers off a queue that others may have left something in.
  if (ERR_peek_error() != 0) ERR_clear_error();
}

// To the kernel ------------------------------------------------------------------------------------------------------

void tls_put(TlsConnection& tls, const uint8_t* data, size_t length) {
  Core& core = tls.core;
  Slot& slot = tls.slot;
  TlsCore& shared = *core.tls;
  tls.wire_in += length;
  if (tls.write_error != 0 || slot.fd < 0) {
    tls.wire_out += length;
    return;
  }
  if (tls.sends_directly && shared.wire_used == 0 && slot.queue.empty()) {
    ssize_t took = core.sys.send(slot.fd, data, length);
    if (took < 0 && !is_transient(took)) {
      return tls_write_failed(core, slot, static_cast<int32_t>(took), Syscall::write);
    }
    const size_t gone = took > 0 ? static_cast<size_t>(took) : 0;
    shared.sent_directly += gone;
    if (gone < length) slot.queue.append(data + gone, length - gone, core.live);
    return;
  }
  while (length > 0) {
    if (shared.wire_used == kWireSize) tls_send_wire(tls);
    const size_t part = std::min(length, kWireSize - shared.wire_used);
    memcpy(shared.wire + shared.wire_used, data, part);
    shared.wire_used += part;
    data += part;
    length -= part;
  }
}

void tls_settle_direct(TlsConnection& tls) {
  TlsCore& shared = *tls.core.tls;
  const size_t gone = shared.sent_directly;
  shared.sent_directly = 0;
  if (gone > 0 && tls.write_error == 0) tls_sent(tls.core, tls.slot, gone, shared.stamp);
}

void tls_sent(Core& core, Slot& slot, size_t length, double stamp) {
  TlsConnection& tls = *slot.tls;
  slot.last_write = stamp;
  if (tls.clear_left > 0) {
    const double clear = std::min(tls.clear_left, static_cast<double>(length));
    tls.clear_left -= clear;
    core.shared.outbound[slot.index()] -= clear;
    core.count(kTotalOutbound, -clear);
    core.count(kBytesOut, clear);
    length -= static_cast<size_t>(clear);
  }
  if (length > 0) records_sent(tls, length);
}

void tls_report_files(TlsConnection& tls) {
  auto& ends = tls.file_ends;
  size_t gone = 0;
  while (gone < ends.size() && ends[gone] <= tls.wire_out) gone++;
  if (gone == 0) return;
  ends.erase(ends.begin(), ends.begin() + static_cast<ptrdiff_t>(gone));
  tls.slot.files_sent += static_cast<uint32_t>(gone);
  tls.core.defer(tls.slot, kDueFileSent);
}

void tls_send_wire(TlsConnection& tls) {
  Core& core = tls.core;
  Slot& slot = tls.slot;
  TlsCore& shared = *core.tls;
  const size_t length = shared.wire_used;
  shared.wire_used = 0;
  if (length == 0) return;
  size_t gone = 0;
  if (tls.write_error != 0 || slot.fd < 0) {
    tls.wire_out += length;
    return;
  }
  if (slot.queue.empty()) {
    ssize_t took = core.sys.send(slot.fd, shared.wire, length);
    if (took < 0 && !is_transient(took)) {
      return tls_write_failed(core, slot, static_cast<int32_t>(took), Syscall::write);
    }
    if (took > 0) {
      gone = static_cast<size_t>(took);
      tls_sent(core, slot, gone, shared.stamp);
    }
  }
  if (gone == length) return;
  slot.queue.append(shared.wire + gone, length - gone, core.live);
  if (slot.state == State::open) update_interest(core, slot);
}

void tls_send_last(TlsConnection& tls) {
  Core& core = tls.core;
  Slot& slot = tls.slot;
  tls_send_wire(tls);
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

void tls_write_failed(Core& core, Slot& slot, int32_t error, Syscall) {
  TlsConnection& tls = *slot.tls;
  if (tls.write_error != 0) return;
  // A peer that refuses us says why before it goes: what it said is read first.
  tls.write_error = error;
  tls.wire_out = tls.wire_in;
  slot.queue.clear(core.live);
  if (slot.state == State::open) core.defer(slot, kDueInput);
}

// Under OpenSSL ------------------------------------------------------------------------------------------------------

namespace {

int transport_write(BIO* bio, const char* data, int length) {
  auto& tls = *static_cast<TlsConnection*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (tls.hold_output) {
    tls.held.append(data, static_cast<size_t>(length));
  } else {
    tls_put(tls, reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(length));
  }
  return length;  // what the kernel does not take is queued
}

// The poller is to wake when the kernel has so much. A Unix socket tells of every byte all the same.
void need(TlsConnection& tls, uint32_t bytes) {
  if (tls.needed == bytes) return;
  tls.needed = bytes;
  const int mark = static_cast<int>(std::max(bytes, 1u));
  setsockopt(tls.slot.fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark);
  tls.core.sys.calls++;
}

// Sets `may_read`. Records that OpenSSL has begun are read to their end, others when what they bring is whole; and
// whatever has come when no more will.
void look_ahead(TlsConnection& tls) {
  Core& core = tls.core;
  tls.may_read = tls.flight.record_left();
  if (tls.may_read > 0) return;
  uint8_t* ahead = core.tls->ahead;
  const ssize_t seen = core.sys.peek(tls.slot.fd, ahead, kLookAhead);
  if (seen <= 0) {
    tls.kernel_empty = true;
    tls.fin = seen == 0;
    if (seen < 0 && !is_transient(seen)) tls.read_error = static_cast<int32_t>(seen);
    return;
  }
  const auto length = static_cast<size_t>(seen);
  FlightWatch::Part part = tls.flight.next(ahead, length, SSL_version(tls.ssl));
  const auto needed = static_cast<uint32_t>(std::min(part.needed, kLookAhead));
  const bool waits = tls.slot.has(kInternet) && length < needed && !(tls.is_ready && tls.needed == needed);
  if (part.ready == 0 && !waits) part.ready = length;
  need(tls, part.ready == 0 ? needed : 0);
  tls.may_read = static_cast<uint32_t>(part.ready);
  tls.kernel_empty = part.ready == 0;
}

// Straight from the kernel into OpenSSL's own buffer.
int read_wire(TlsConnection& tls, BIO* bio, char* to, int room) {
  BIO_clear_retry_flags(bio);
  if (tls.early_at < tls.early.size()) {
    const size_t part = std::min(static_cast<size_t>(room), tls.early.size() - tls.early_at);
    memcpy(to, tls.early.data() + tls.early_at, part);
    tls.early_at += static_cast<uint32_t>(part);
    if (tls.early_at == tls.early.size()) {
      tls.early = std::string();
      tls.early_at = 0;
    }
    return static_cast<int>(part);
  }
  if (tls.may_read == 0 && tls.phase == TlsConnection::Phase::handshake && !tls.kernel_empty) look_ahead(tls);
  const size_t asked = std::min(static_cast<size_t>(room), size_t{tls.may_read});
  if (asked > 0 && !tls.kernel_empty) {
    const ssize_t got = tls.core.sys.recv(tls.slot.fd, to, asked);
    if (got > 0) {
      tls.may_read -= static_cast<uint32_t>(got);
      tls.kernel_empty = static_cast<size_t>(got) < asked;
      tls.slot.last_read = tls.core.now;
      return static_cast<int>(got);
    }
    tls.kernel_empty = true;
    if (got == 0) {
      // OpenSSL is not told: it would write nothing more, and a peer that has ended may still be answered.
      tls.fin = true;
    } else if (!is_transient(got)) {
      tls.read_error = static_cast<int32_t>(got);
    }
  }
  BIO_set_retry_read(bio);
  return -1;
}

int transport_read(BIO* bio, char* to, int room) {
  auto& tls = *static_cast<TlsConnection*>(BIO_get_data(bio));
  const int got = read_wire(tls, bio, to, room);
  if (tls.phase != TlsConnection::Phase::handshake || got <= 0) return got;
  const bool fits = tls.flight.take(reinterpret_cast<uint8_t*>(to), static_cast<size_t>(got), SSL_version(tls.ssl));
  return fits ? got : -1;
}

long transport_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

}  // namespace

bool tls_has_input(TlsConnection& tls) {
  if (tls.early_at < tls.early.size()) return true;
  look_ahead(tls);
  return tls.may_read > 0;
}

BIO_METHOD* make_transport() {
  BIO_METHOD* method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "eventmachine");
  if (method != nullptr && BIO_meth_set_write(method, transport_write) == 1 &&
      BIO_meth_set_read(method, transport_read) == 1 && BIO_meth_set_ctrl(method, transport_control) == 1) {
    return method;
  }
  BIO_meth_free(method);
  return nullptr;
}

}  // namespace em
