// zlib as the rest of the package sees it.
#ifndef GENREC_CZLIB_H
#define GENREC_CZLIB_H

#include <zlib.h>

#endif
