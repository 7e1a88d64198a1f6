// The commands and questions of TLS.
#include <string.h>

#include <algorithm>

#include "face/calls.h"
#include "tls/tls_core.h"
#include "tls/tls_handshake.h"

namespace em {

namespace {

constexpr size_t kMostText = 8192;  // lists of ciphers are long
// What JavaScript holds of a TlsTrust carries this, so that nothing else passes for one.
constexpr napi_type_tag kTrustTag = {0x8e1f3b5d60a94c27, 0xb2d47f08c5e9613a};

// A character for each byte: what a peer may have sent need not be UTF-8.
napi_value byte_text(napi_env env, std::string_view bytes) {
  napi_value value = nullptr;
  return napi_create_string_latin1(env, bytes.data(), bytes.size(), &value) == napi_ok ? value : nullptr;
}

// Undefined for the empty one: all is well.
napi_value complaint(napi_env env, std::string_view words) { return words.empty() ? nothing() : text(env, words); }

std::string read_text(Args& args, size_t at) {
  char to[kMostText + 1];
  const size_t size = args.string(at, to, kMostText);
  return {to, size};  // which takes no more room than it needs: connections keep some
}

std::string_view read_bytes(Args& args, size_t at) {
  Bytes bytes = args.bytes(at);
  return {reinterpret_cast<const char*>(bytes.data), bytes.length};
}

// tlsTrust(certificates, OpenSSL's defaults): what a context takes for its trust, or what is wrong with it
napi_value trust_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  std::string_view certificates = read_bytes(args, 0);
  bool defaults = args.boolean(1);
  if (!args.ok()) return nothing();
  std::vector<std::string_view> texts;
  if (!certificates.empty()) texts.push_back(certificates);
  std::string error;
  TlsTrust* trust = make_trust(texts, defaults, &error);
  if (trust == nullptr) return text(env, error);
  return wrap<TlsTrust>(env, std::unique_ptr<TlsTrust>(trust), kTrustTag);
}

// tlsContext(loop, trust, [options, lowest version, highest, seconds, most of a hello, of a chain, of key updates],
// ciphers, suites, curves, ALPN, session id context, DH parameters, ticket keys, staple): its number, or what is wrong
// with it
napi_value context_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  auto* trust = static_cast<TlsTrust*>(args.wrapped(1, kTrustTag));
  const int32_t* numbers = nullptr;
  if (args.int32_list(2, &numbers) != 7) args.refuse(2, "seven numbers");
  TlsContextSettings settings;
  settings.ciphers = read_text(args, 3);
  settings.suites = read_text(args, 4);
  settings.curves = read_text(args, 5);
  settings.alpn = read_bytes(args, 6);
  settings.session_id_context = read_bytes(args, 7);
  settings.dh = read_bytes(args, 8);
  settings.ticket_keys = read_bytes(args, 9);
  settings.staple = read_bytes(args, 10);
  if (settings.ticket_keys.size() % sizeof(TicketKey) != 0) args.refuse(9, "keys of 48 bytes");
  if (!args.ok() || loop == nullptr) return nothing();
  settings.options = static_cast<uint32_t>(numbers[0]);
  settings.min_version = numbers[1];
  settings.max_version = numbers[2];
  settings.session_timeout = numbers[3];
  settings.most_hello = static_cast<uint32_t>(numbers[4]);
  settings.most_chain = static_cast<uint32_t>(numbers[5]);
  settings.most_key_updates = static_cast<uint32_t>(numbers[6]);
  if (loop->core.tls == nullptr) loop->core.tls.reset(new TlsCore());
  if (loop->core.tls->transport == nullptr) return text(env, "there is no memory for OpenSSL");
  auto* context = new TlsContext(loop->core.live);
  std::string wrong = context->make(settings, *trust);
  if (!wrong.empty()) {
    context->release();
    return text(env, wrong);
  }
  return integer(env, loop->core.tls->add(context));
}

// The context named by an argument; null once it is released.
TlsContext* args_context(Args& args, Loop* loop, size_t at) {
  int32_t id = args.int32(at);
  return args.ok() && loop != nullptr && loop->core.tls != nullptr ? loop->core.tls->find(id) : nullptr;
}

// tlsIdentity(loop, context, certificate, key, passphrase): what is wrong with them
napi_value identity_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  TlsContext* context = args_context(args, args_loop(args), 1);
  std::string_view certificate = read_bytes(args, 2), key = read_bytes(args, 3), passphrase = read_bytes(args, 4);
  if (!args.ok() || context == nullptr) return nothing();
  return complaint(env, context->add_identity(certificate, key, passphrase));
}

napi_value release_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  TlsContext* context = args_context(args, loop, 1);
  if (!args.ok() || context == nullptr) return nothing();
  loop->core.tls->contexts.erase(args.int32(1));
  context->release();
  return nothing();
}

napi_value ticket_keys_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  TlsContext* context = args_context(args, args_loop(args), 1);
  std::string_view keys = read_bytes(args, 2);
  if (keys.size() % sizeof(TicketKey) != 0) args.refuse(2, "keys of 48 bytes");
  if (args.ok() && context != nullptr) context->set_ticket_keys(keys);
  return nothing();
}

napi_value staple_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  TlsContext* context = args_context(args, args_loop(args), 1);
  std::string_view staple = read_bytes(args, 2);
  if (args.ok() && context != nullptr) context->staple = staple;
  return nothing();
}

napi_value undelivered_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  const bool counts = args.ok() && target.stream() != nullptr && target.slot->state == State::open;
  return integer(env, counts ? static_cast<int64_t>(undelivered(*target.core, *target.slot)) : 0);
}

// startTls(loop, handle, StartFlags, context, name sent, name verified,
// session, bytes received): what is wrong with the session
napi_value start_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  Target target(args);
  uint32_t flags = args.uint32(2);
  TlsStart start = {};
  start.context = args_context(args, loop, 3);
  start.is_server = flags & kStartServer;
  start.asks_name = flags & kStartAsksServerName;
  start.asks_verify = flags & kStartAsksVerify;
  start.server_name = read_text(args, 4);
  start.verify_name = read_text(args, 5);
  start.session = read_bytes(args, 6);
  start.received = read_bytes(args, 7);
  if (!args.ok() || target.stream() == nullptr) return nothing();
  if (start.context == nullptr) return text(env, "the context was released");
  Slot& slot = *target.slot;
  if (slot.state != State::open || slot.has(kTls | kShutWanted | kFinishing | kDetaching)) return nothing();
  target.core->absorb();
  const char* wrong = start_tls(*target.core, slot, start);
  return complaint(env, wrong == nullptr ? "" : wrong);
}

// answerServerName(loop, handle, a number of NameAnswer, context)
napi_value answer_name_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  Target target(args);
  auto answer = static_cast<NameAnswer>(args.uint32(2, 2));
  TlsContext* context = args_context(args, loop, 3);
  if (!args.ok() || target.stream() == nullptr) return nothing();
  // A context that is gone serves nobody.
  if (answer == NameAnswer::other && context == nullptr) answer = NameAnswer::refuse;
  answer_server_name(*target.core, *target.slot, answer, context);
  return nothing();
}

napi_value answer_verify_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  bool accepted = args.boolean(2);
  if (args.ok() && target.stream() != nullptr) answer_verify(*target.core, *target.slot, accepted);
  return nothing();
}

TlsConnection* args_tls(Args& args) {
  Target target(args);
  Slot* slot = target.stream();
  return args.ok() && slot != nullptr && slot->has(kTls) ? slot->tls : nullptr;
}

napi_value certificate_buffer(napi_env env, X509* certificate) {
  int size = i2d_X509(certificate, nullptr);
  if (size <= 0) return buffer(env, nullptr, 0);
  void* data = nullptr;
  napi_value value = nullptr;
  if (napi_create_buffer(env, static_cast<size_t>(size), &data, &value) != napi_ok) return nullptr;
  auto* to = static_cast<uint8_t*>(data);
  return i2d_X509(certificate, &to) == size ? value : nullptr;
}

// The leaf first: OpenSSL's list has it on a client, and not on a server or where a session was resumed.
napi_value certificates(napi_env env, const TlsConnection& tls) {
  List list(env);
  auto* chain = reinterpret_cast<const OPENSSL_STACK*>(SSL_get_peer_cert_chain(tls.ssl));
  const int length = chain == nullptr ? 0 : OPENSSL_sk_num(chain);
  X509* leaf = SSL_get1_peer_certificate(tls.ssl);
  if (leaf != nullptr && (tls.is_server || length == 0)) list.add(certificate_buffer(env, leaf));
  X509_free(leaf);
  for (int i = 0; i < length; i++) {
    list.add(certificate_buffer(env, static_cast<X509*>(OPENSSL_sk_value(chain, i))));
  }
  return list.value();
}

// tlsState(loop, handle): version, cipher's names and bits, ALPN, server name, reused, certificates, verify error,
// staple
napi_value state_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  TlsConnection* tls = args_tls(args);
  if (tls == nullptr || !tls->is_known) return nothing();
  SSL* ssl = tls->ssl;
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
  if (cipher == nullptr) cipher = SSL_get_pending_cipher(ssl);
  const uint8_t* protocol = nullptr;
  unsigned protocol_size = 0;
  SSL_get0_alpn_selected(ssl, &protocol, &protocol_size);
  uint8_t* staple = nullptr;
  const long staple_size = tls->is_server ? 0 : SSL_get_tlsext_status_ocsp_resp(ssl, &staple);
  auto named = [&](const char* name) { return name == nullptr ? undefined(env) : text(env, name); };
  const napi_value parts[] = {
      integer(env, SSL_version(ssl)),
      named(cipher == nullptr ? nullptr : SSL_CIPHER_get_name(cipher)),
      named(cipher == nullptr ? nullptr : SSL_CIPHER_standard_name(cipher)),
      integer(env, cipher == nullptr ? 0 : SSL_CIPHER_get_bits(cipher, nullptr)),
      protocol_size == 0 ? undefined(env) : byte_text(env, {reinterpret_cast<const char*>(protocol), protocol_size}),
      tls->server_name.empty() ? undefined(env) : byte_text(env, tls->server_name),
      boolean(env, SSL_session_reused(ssl) == 1),
      certificates(env, *tls),
      integer(env, tls->verify_error),
      staple == nullptr || staple_size <= 0 ? undefined(env) : buffer(env, staple, static_cast<size_t>(staple_size)),
  };
  ERR_clear_error();
  return list(env, parts);
}

// tlsFailure(loop, handle): the number of TlsError, the reason, the alert (-1: none), whether the peer sent it, verify
// error
napi_value failure_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  TlsConnection* tls = args_tls(args);
  if (tls == nullptr || tls->failure == nullptr) return nothing();
  return list(env, {integer(env, static_cast<int64_t>(tls->failure->code)), text(env, tls->failure->reason),
                    integer(env, tls->alert), boolean(env, tls->alert_from_peer), integer(env, tls->verify_error)});
}

// tlsTruncated(loop, handle): undefined where the peer has not ended
napi_value truncated_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  TlsConnection* tls = args_tls(args);
  if (tls == nullptr || !tls->is_known || !tls->ended_by_peer()) return nothing();
  return boolean(env, !tls->peer_closed);
}

}  // namespace

void define_tls_calls(Object& exports, Addon* addon) {
  static constexpr Call kCalls[] = {
      {"tlsTrust", trust_call},
      {"tlsContext", context_call},
      {"tlsIdentity", identity_call},
      {"releaseTlsContext", release_call},
      {"setTicketKeys", ticket_keys_call},
      {"setStaple", staple_call},
      {"undelivered", undelivered_call},
      {"startTls", start_call},
      {"answerServerName", answer_name_call},
      {"answerVerify", answer_verify_call},
      {"tlsState", state_call},
      {"tlsFailure", failure_call},
      {"tlsTruncated", truncated_call},
  };
  for (const Call& call : kCalls) define(exports, call, addon);
  exports.set("openssl", text(exports.env(), OpenSSL_version(OPENSSL_VERSION_STRING)));
}

}  // namespace em
