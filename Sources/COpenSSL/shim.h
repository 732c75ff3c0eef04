// OpenSSL 3 for the rest of the package: digests (libcrypto) and TLS (libssl). Macros that Swift cannot see are wrapped
// in functions that do nothing else. Our symbols start with COpenSSL_.
#ifndef GENREC_COPENSSL_H
#define GENREC_COPENSSL_H

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// SSL_CTX_set_min_proto_version and SSL_CTX_set_max_proto_version. 1, or 0.
static inline int COpenSSL_set_versions(SSL_CTX *context, int lowest, int highest) {
    return SSL_CTX_set_min_proto_version(context, lowest) == 1 && SSL_CTX_set_max_proto_version(context, highest) == 1;
}

// SSL_CTX_set1_groups_list: key exchange groups in order of preference, by name, colons between. 1, or 0.
static inline int COpenSSL_set_groups(SSL_CTX *context, const char *names) {
    return SSL_CTX_set1_groups_list(context, names) == 1;
}

// SSL_CTX_set1_sigalgs_list: signature algorithms in order of preference, by name, colons between. 1, or 0.
static inline int COpenSSL_set_signature_algorithms(SSL_CTX *context, const char *names) {
    return SSL_CTX_set1_sigalgs_list(context, names) == 1;
}

// SSL_CTX_set_mode: adds SSL_MODE_ bits.
static inline void COpenSSL_add_modes(SSL_CTX *context, long modes) {
    SSL_CTX_set_mode(context, modes);
}

// SSL_CTX_set_read_ahead: reads as much as fits from the socket, not one record.
static inline void COpenSSL_read_ahead(SSL_CTX *context) {
    SSL_CTX_set_read_ahead(context, 1);
}

// SSL_CTX_set_session_cache_mode with SSL_SESS_CACHE_OFF: no memory of sessions; tickets are not concerned.
static inline void COpenSSL_disable_session_cache(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

// SSL_set_tlsext_host_name: the host that a client requests. 1, or 0.
static inline int COpenSSL_set_server_name(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}

// SSL_CTX_add1_chain_cert: another certificate to send after the server's own. 1, or 0.
static inline int COpenSSL_add_chain_certificate(SSL_CTX *context, X509 *certificate) {
    return SSL_CTX_add1_chain_cert(context, certificate) == 1;
}

// Sets the key and SHA-256 as the digest of an HMAC. Here because an OSSL_PARAM keeps the address of its name, and
// Swift strings have one only during a call. 1, or 0.
static inline int COpenSSL_set_hmac_sha256_key(EVP_MAC_CTX *mac, unsigned char *key, size_t length) {
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, length),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

// Options, whose macros hold casts.
static const uint64_t COpenSSL_OP_NO_COMPRESSION = SSL_OP_NO_COMPRESSION;
static const uint64_t COpenSSL_OP_NO_RENEGOTIATION = SSL_OP_NO_RENEGOTIATION;
static const uint64_t COpenSSL_OP_CIPHER_SERVER_PREFERENCE = SSL_OP_CIPHER_SERVER_PREFERENCE;
static const uint64_t COpenSSL_OP_PRIORITIZE_CHACHA = SSL_OP_PRIORITIZE_CHACHA;

#endif
