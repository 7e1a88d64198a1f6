// What the connections of one loop share while they speak TLS, made with the first context.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "tls/openssl.h"
#include "tls/tls_context.h"

namespace em {

constexpr size_t kRecordOverhead = 512;  // more than any version and cipher adds
constexpr size_t kWireSize = 4 * (kMostPlaintext + kRecordOverhead);
// What is sent by itself waits for the kernel in this measure at most: beyond it, a peer asks and asks (for new keys,
// for a renegotiation) and reads none of the answers. A batch of records and a long certificate chain fit well.
constexpr uint64_t kMostAnswers = 256 * 1024;
// Of a handshake's input, looked at before it is read: a chain as long as may be by default, in records.
constexpr size_t kLookAhead = 64 * 1024;
// A storm of handshakes, each of which costs as much as a hundred messages, leaves the open connections their turn.
constexpr uint32_t kHandshakesARound = 8;
// Of these so many are for what peers have answered: those that begin come first in a round, and could take them all.
constexpr uint32_t kAnswersARound = 4;

struct TlsCore {
  TlsCore();
  ~TlsCore();
  TlsCore(const TlsCore&) = delete;
  TlsCore& operator=(const TlsCore&) = delete;

  // By their numbers, of which none comes again before all others have been given.
  std::unordered_map<int32_t, TlsContext*> contexts;
  int32_t next_context = 0;
  BIO_METHOD* transport;  // null where there was no memory for it
  uint32_t handshakes_left = kHandshakesARound;
  // The connection that is sealing collects its records here; between two calls it is empty.
  size_t wire_used = 0;
  size_t sent_directly = 0;  // see tls_settle_direct
  double stamp = 0;
  uint8_t wire[kWireSize];
  uint8_t record[kMostPlaintext];  // small writes on their way into one record
  uint8_t ahead[kLookAhead];       // a handshake's input as it lies in the kernel

  TlsContext* find(int32_t id) {
    auto found = contexts.find(id);
    return found == contexts.end() ? nullptr : found->second;
  }
  int32_t add(TlsContext* context) {
    while (!contexts.emplace(next_context, context).second) next_context = (next_context + 1) & INT32_MAX;
    const int32_t id = next_context;
    next_context = (next_context + 1) & INT32_MAX;
    return id;
  }
};

}  // namespace em
