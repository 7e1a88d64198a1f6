// The part of OpenSSL that is used: Node's own, which its binary exports. Every function is looked up when the addon is
// loaded, so that a Node without one of them is told of and never crashed, and no structure is looked into: one binary
// of the addon runs on all of OpenSSL 3.
//
// The functions keep their names: within this namespace a name is what was found, also where one of OpenSSL's own
// macros uses it. What one of them returns cannot be dropped by an oversight: the compiler refuses it. Where nothing
// hangs on it the call begins with `(void)`.
//
// The error queue of a thread is shared with node:crypto: whoever makes it grow empties it.
#pragma once

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#define EM_OPENSSL(USE)                     \
  USE(OPENSSL_version_major)                \
  USE(OpenSSL_version)                      \
  USE(CRYPTO_free)                          \
  USE(CRYPTO_malloc)                        \
  USE(ERR_clear_error)                      \
  USE(ERR_get_error)                        \
  USE(ERR_peek_error)                       \
  USE(ERR_peek_last_error)                  \
  USE(ERR_reason_error_string)              \
  USE(OPENSSL_sk_new_null)                  \
  USE(OPENSSL_sk_num)                       \
  USE(OPENSSL_sk_pop_free)                  \
  USE(OPENSSL_sk_push)                      \
  USE(OPENSSL_sk_value)                     \
  USE(BIO_clear_flags)                      \
  USE(BIO_free)                             \
  USE(BIO_get_data)                         \
  USE(BIO_meth_free)                        \
  USE(BIO_meth_new)                         \
  USE(BIO_meth_set_ctrl)                    \
  USE(BIO_meth_set_read)                    \
  USE(BIO_meth_set_write)                   \
  USE(BIO_new)                              \
  USE(BIO_new_mem_buf)                      \
  USE(BIO_set_data)                         \
  USE(BIO_set_flags)                        \
  USE(BIO_set_init)                         \
  USE(EVP_CIPHER_fetch)                     \
  USE(EVP_CIPHER_free)                      \
  USE(EVP_DecryptInit_ex)                   \
  USE(EVP_EncryptInit_ex)                   \
  USE(EVP_MAC_CTX_set_params)               \
  USE(EVP_PKEY_free)                        \
  USE(OSSL_PARAM_construct_end)             \
  USE(OSSL_PARAM_construct_octet_string)    \
  USE(OSSL_PARAM_construct_utf8_string)     \
  USE(PEM_read_bio_Parameters)              \
  USE(PEM_read_bio_PrivateKey)              \
  USE(PEM_read_bio_X509)                    \
  USE(PEM_read_bio_X509_AUX)                \
  USE(RAND_bytes)                           \
  USE(SSL_CIPHER_get_bits)                  \
  USE(SSL_CIPHER_get_name)                  \
  USE(SSL_CIPHER_standard_name)             \
  USE(SSL_CTX_callback_ctrl)                \
  USE(SSL_CTX_check_private_key)            \
  USE(SSL_CTX_ctrl)                         \
  USE(SSL_CTX_free)                         \
  USE(SSL_CTX_get_ex_data)                  \
  USE(SSL_CTX_new)                          \
  USE(SSL_CTX_sess_set_new_cb)              \
  USE(SSL_CTX_set0_tmp_dh_pkey)             \
  USE(SSL_CTX_set1_cert_store)              \
  USE(SSL_CTX_set_alpn_protos)              \
  USE(SSL_CTX_set_alpn_select_cb)           \
  USE(SSL_CTX_set_cert_verify_callback)     \
  USE(SSL_CTX_set_cipher_list)              \
  USE(SSL_CTX_set_ciphersuites)             \
  USE(SSL_CTX_set_client_CA_list)           \
  USE(SSL_CTX_set_client_hello_cb)          \
  USE(SSL_CTX_set_ex_data)                  \
  USE(SSL_CTX_set_info_callback)            \
  USE(SSL_CTX_set_keylog_callback)          \
  USE(SSL_CTX_set_num_tickets)              \
  USE(SSL_CTX_set_options)                  \
  USE(SSL_CTX_set_session_id_context)       \
  USE(SSL_CTX_set_timeout)                  \
  USE(SSL_CTX_set_tlsext_ticket_key_evp_cb) \
  USE(SSL_CTX_use_PrivateKey)               \
  USE(SSL_CTX_use_certificate)              \
  USE(SSL_SESSION_free)                     \
  USE(SSL_client_hello_get0_ext)            \
  USE(SSL_ctrl)                             \
  USE(SSL_do_handshake)                     \
  USE(SSL_free)                             \
  USE(SSL_get0_alpn_selected)               \
  USE(SSL_get0_param)                       \
  USE(SSL_get_current_cipher)               \
  USE(SSL_get_error)                        \
  USE(SSL_get_pending_cipher)               \
  USE(SSL_get_ex_data)                      \
  USE(SSL_get_ex_data_X509_STORE_CTX_idx)   \
  USE(SSL_get_peer_cert_chain)              \
  USE(SSL_get_verify_result)                \
  USE(SSL_has_pending)                      \
  USE(SSL_new)                              \
  USE(SSL_read_ex)                          \
  USE(SSL_session_reused)                   \
  USE(SSL_set_SSL_CTX)                      \
  USE(SSL_set_accept_state)                 \
  USE(SSL_set_bio)                          \
  USE(SSL_set_connect_state)                \
  USE(SSL_set_ex_data)                      \
  USE(SSL_set_session_id_context)           \
  USE(SSL_get_session)                      \
  USE(SSL_get_shutdown)                     \
  USE(SSL_set_msg_callback)                 \
  USE(SSL_set_num_tickets)                  \
  USE(SSL_set_shutdown)                     \
  USE(SSL_set_session)                      \
  USE(SSL_set_verify)                       \
  USE(SSL_shutdown)                         \
  USE(SSL_version)                          \
  USE(SSL_write_ex)                         \
  USE(SSL_get1_peer_certificate)            \
  USE(TLS_method)                           \
  USE(X509_STORE_CTX_get0_cert)             \
  USE(X509_STORE_CTX_get_error)             \
  USE(X509_STORE_CTX_get_ex_data)           \
  USE(X509_STORE_CTX_set_error)             \
  USE(X509_STORE_add_cert)                  \
  USE(X509_STORE_free)                      \
  USE(X509_STORE_new)                       \
  USE(X509_STORE_set_default_paths)         \
  USE(X509_NAME_dup)                        \
  USE(X509_NAME_free)                       \
  USE(X509_VERIFY_PARAM_set1_host)          \
  USE(X509_VERIFY_PARAM_set1_ip_asc)        \
  USE(X509_VERIFY_PARAM_set_hostflags)      \
  USE(X509_check_host)                      \
  USE(X509_check_ip_asc)                    \
  USE(X509_free)                            \
  USE(X509_get_subject_name)                \
  USE(X509_verify_cert)                     \
  USE(X509_verify_cert_error_string)        \
  USE(d2i_SSL_SESSION)                      \
  USE(i2d_SSL_SESSION)                      \
  USE(i2d_X509)

namespace em {

template <typename Function>
struct Found;

template <typename Result, typename... Arguments>
struct Found<Result (*)(Arguments...)> {
  Result (*function)(Arguments...);
  [[nodiscard]] Result operator()(Arguments... arguments) const { return function(arguments...); }
};

template <typename... Arguments>
struct Found<void (*)(Arguments...)> {
  void (*function)(Arguments...);
  void operator()(Arguments... arguments) const { function(arguments...); }
};

#define EM_OPENSSL_DECLARE(name) extern Found<decltype(&::name)> name;
EM_OPENSSL(EM_OPENSSL_DECLARE)
#undef EM_OPENSSL_DECLARE

// Looks all of them up. Returns the name of one that is missing, or null. Any thread may call it, any number of times.
const char* load_openssl();

}  // namespace em
