// TLS on one connection: what the slot points to from `startTls` until its handle is free again.
//
// Three queues lie between the program and the wire. What waits to be sealed is `plain`: bytes, and ranges of files.
// What is sealed goes out at once; what the kernel refuses of it waits in the slot's own queue, behind whatever was
// written in clear before TLS began. While anything waits there nothing more is sealed, so that no more than one batch
// of records is ever ahead of the kernel.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/core.h"
#include "tls/openssl.h"
#include "tls/tls_context.h"
#include "tls/tls_flight.h"

namespace em {

// Why TLS has failed: what `tlsFailure` answers while `closed` is delivered.
struct TlsFailure {
  TlsError code;
  std::string reason;
};

struct TlsStart {
  TlsContext* context;
  bool is_server, asks_name, asks_verify;
  std::string server_name, verify_name;
  std::string session, received;
};

struct TlsConnection {
  enum class Awaits : uint8_t { nothing, name, verdict };
  enum class Answer : uint8_t { none, yes, no };
  enum class Phase : uint8_t {
    handshake,  // ... which may be suspended: see `awaits`
    secured,
    failed,
    abandoned,  // closing, and nothing worth a handshake was to be sent
  };

  TlsConnection(Core& core, Slot& slot) : core(core), slot(slot) { core.live.tls++; }
  ~TlsConnection();
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;

  Core& core;
  Slot& slot;
  SSL* ssl = nullptr;
  TlsContext* first_context = nullptr;
  TlsContext* context = nullptr;

  Phase phase = Phase::handshake;
  Awaits awaits = Awaits::nothing;
  Answer name_answer = Answer::none, verdict = Answer::none;
  bool is_known = false;  // there is something to tell of what was agreed
  bool is_server = false, asks_name = false, asks_verify = false;

  // Ends.
  bool fin = false;           // the kernel has told of the peer's FIN
  bool peer_closed = false;   // its close_notify has come
  bool notified = false;      // ours is sealed
  bool silent = false;        // no close_notify: the connection is to be reset, or output was dropped
  bool needs_input = false;   // OpenSSL writes nothing more before it has read the rest of a message
  bool kernel_empty = false;  // in this round the kernel has no more to read
  bool hold_output = false;   // what a server says behind the certificate of its client waits for the verdict
  bool alert_from_peer = false;
  int16_t alert = -1;                 // the last fatal one
  bool has_message_callback = false;  // OpenSSL tells of each, until it has been asked for what there is
  bool is_flooded = false;            // by key updates
  bool is_ticketless = false;         // its session would make the client's next hello too long
  uint32_t key_updates = 0;           // since that moment
  double key_updates_since = 0;
  int32_t verify_error = 0;
  int32_t read_error = 0, write_error = 0;

  // Input: what may still be asked of the kernel in this round, and bytes that came by hand.
  uint32_t may_read = 0;
  uint32_t early_at = 0;
  uint64_t data_batch = 0;  // the batch with its last data event
  std::string early;
  FlightWatch flight;        // of the handshake
  bool wants_input = false;  // nothing goes on in the handshake before there is some
  bool is_ready = false;     // in this round the poller says that there is
  uint32_t needed = 0;       // how much the kernel was asked to have before the poller says so

  // Output. The counts are of bytes.
  OutQueue plain;
  double clear_left = 0;                     // in the slot's queue, from before TLS
  double sealed = 0, sealed_of_files = 0;    // plaintext in records that are not with the kernel yet
  uint64_t wire_in = 0, wire_out = 0;        // of records: ever sealed, and given to the kernel
  std::vector<uint64_t> file_ends;           // where in that count files end that are not wholly sent
  uint32_t most_plaintext = kMostPlaintext;  // of one record to this peer: learned from the first that is shorter
  bool sends_directly = false;
  bool file_asked = false;
  std::unique_ptr<uint8_t[]> file;  // read from the file in front, and not sealed
  uint32_t file_at = 0, file_size = 0;
  std::string held;  // see hold_output

  // For the program, in the order they came.
  struct Report {
    Event event;
    std::string bytes;
  };
  std::vector<Report> reports;
  std::string server_name;
  std::string verify_name;
  std::unique_ptr<TlsFailure> failure;

  bool is_secured() const { return phase == Phase::secured; }
  bool ended_by_peer() const { return fin || peer_closed; }
  void report(Event event, std::string bytes);
  void count_key_update();
  // OpenSSL's question whether it may trust the peer's certificate.
  int verify(X509_STORE_CTX* store);
};

inline TlsConnection& tls_of(const SSL* ssl) { return *static_cast<TlsConnection*>(SSL_get_ex_data(ssl, 0)); }

}  // namespace em
