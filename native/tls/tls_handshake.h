// TLS from `startTls` to the end of its handshake: its start, its steps, the questions to the program and what follows
// upon the answers, and the checks that OpenSSL leaves to others.
//
// A step calls nobody: its reports to the program wait in `reports`, from where tls_stream.cc puts them into the ring.
#pragma once

#include "core/core.h"
#include "tls/tls_connection.h"

namespace em {

constexpr const char* kEndedEarly = "the peer ended the connection during the handshake";

// Commands.
// Bytes read in clear, and neither delivered nor taken back.
size_t undelivered(Core& core, const Slot& slot);
// Returns what is wrong with the session to resume, in OpenSSL's words; null where TLS begins.
const char* start_tls(Core& core, Slot& slot, TlsStart& start);
void answer_server_name(Core& core, Slot& slot, NameAnswer answer, TlsContext* other);
void answer_verify(Core& core, Slot& slot, bool accepted);

// Rounds, in a handshake that no question suspends. Both may end it, or the connection.
// There is something to read.
void handshake_ready(Core& core, Slot& slot);
// The same without the poller: TLS is to begin, or an answer has come.
void handshake_due(Core& core, Slot& slot);

}  // namespace em
