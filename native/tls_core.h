// What the connections of one loop share while they speak TLS, made with the first context.
#pragma once

#include <memory>
#include <vector>

#include "openssl.h"
#include "tls_context.h"

namespace em {

constexpr size_t kMostPlaintext = 16384;  // of one record
constexpr size_t kRecordOverhead = 512;   // more than any version and cipher adds
constexpr size_t kWireSize = 4 * (kMostPlaintext + kRecordOverhead);
// What is sent by itself waits for the kernel in this measure at most: beyond it, a peer asks and asks (for new keys,
// for a renegotiation) and reads none of the answers. A batch of records and a long certificate chain fit well.
constexpr uint64_t kMostAnswers = 256 * 1024;
// A storm of handshakes, each of which costs as much as a hundred messages, leaves the open connections their turn.
constexpr uint32_t kHandshakesARound = 8;

struct TlsCore {
  TlsCore();
  ~TlsCore();
  TlsCore(const TlsCore&) = delete;
  TlsCore& operator=(const TlsCore&) = delete;

  // By number; null once released.
  std::vector<TlsContext*> contexts;
  BIO_METHOD* transport;
  uint32_t handshakes_left = kHandshakesARound;
  // The connection that is sealing collects its records here; between two calls it is empty.
  size_t wire_used = 0;
  double stamp = 0;
  uint8_t wire[kWireSize];
  uint8_t record[kMostPlaintext];  // small writes on their way into one record

  TlsContext* find(int32_t id) {
    return id >= 0 && static_cast<size_t>(id) < contexts.size() ? contexts[static_cast<size_t>(id)] : nullptr;
  }
};

}  // namespace em
