// OpenSSL 3 as the rest of the package sees it: digests (libcrypto).
#ifndef GENREC_COPENSSL_H
#define GENREC_COPENSSL_H

#include <openssl/evp.h>

#endif
